CREATE TABLE rails.things (id uuid DEFAULT gen_random_uuid() NOT NULL PRIMARY KEY, owner_type character varying, owner_id bigint, ip inet, range int4range, at timestamp(6) without time zone NOT NULL);
CREATE INDEX index_things_on_owner ON rails.things USING btree (owner_type, owner_id);
CREATE UNIQUE INDEX index_things_lower ON rails.things (lower(owner_type), (owner_id + 1)) WHERE (ip IS NOT NULL);
ALTER TABLE rails.things ALTER COLUMN owner_type SET DEFAULT 'User'::character varying;
ALTER TABLE rails.things ALTER COLUMN owner_id TYPE integer USING owner_id::integer;
