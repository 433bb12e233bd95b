-- One row: the version of the lockkeeper schema, and that of the last migration that an older binary cannot live with
-- (all, before there was a word for it). Locks nothing. Caller: pg/migrator.
SELECT max(m.version) AS version,
       max(m.version) FILTER (WHERE coalesce((pg_catalog.to_jsonb(m)->>'breaking')::pg_catalog.bool, true)) AS breaking
  FROM lockkeeper.ddl_migration AS m;
