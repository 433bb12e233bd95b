CREATE TABLE versions (
  id serial primary key,
  crate_id integer not null references crates (id) on delete cascade,
  num varchar not null,
  features jsonb not null default '{}'::jsonb,
  yanked bool not null default 'f',
  unique (crate_id, num)
);
create index index_versions_num on versions (num);
COMMENT ON TABLE versions IS 'It''s one row a release; never deleted';
COMMENT ON COLUMN versions.features IS $c$JSON of feature -> deps$c$;
