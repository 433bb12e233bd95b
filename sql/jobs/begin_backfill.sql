-- Begins step $3 (int) of job $1 (bigint), claim $2 (epoch, bigint): a backfill of table $4 (oid); or goes on with
-- it; $5 (boolean): all of it once more; $6 (boolean): in one range, by one worker. Row lock. Caller: jobs/backfill.
SELECT lockkeeper.begin_backfill($1::bigint, $2::bigint, $3::integer, $4::pg_catalog.oid, $5::boolean, $6::boolean);
