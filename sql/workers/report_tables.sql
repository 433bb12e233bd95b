-- A row per table of the lockkeeper schema: its size with indexes, in bytes, and dead rows. Locks nothing.
-- Caller: workers/reporter.
SELECT c.relname::text AS name, pg_catalog.pg_total_relation_size(c.oid) AS bytes,
       coalesce(pg_catalog.pg_stat_get_dead_tuples(c.oid), 0) AS dead
  FROM pg_catalog.pg_class AS c
 WHERE c.relnamespace = 'lockkeeper'::pg_catalog.regnamespace AND c.relkind = 'r';
