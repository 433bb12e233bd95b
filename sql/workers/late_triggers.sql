-- A row per table that this transaction wrote to and that has triggers or exclusion constraints of its
-- users that may fire at COMMIT. Foreign keys are not meant: their checks run as the tables' owners.
-- Locks nothing. Caller: workers/job_session.
SELECT c.oid FROM pg_catalog.pg_class AS c
 WHERE (c.oid IN (SELECT t.tgrelid FROM pg_catalog.pg_trigger AS t
                   WHERE t.tgdeferrable AND NOT t.tgisinternal)
        OR c.oid IN (SELECT k.conrelid FROM pg_catalog.pg_constraint AS k
                      WHERE k.contype = 'x' AND k.condeferrable))
   AND pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid)
       + pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
       + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) > 0;
