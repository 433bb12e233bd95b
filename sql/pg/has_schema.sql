-- A row when the lockkeeper schema is there; none: it is not.
-- Locks nothing. Caller: pg/migrator.
SELECT c.oid FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname = 'lockkeeper' AND c.relname = 'ddl_migration';
