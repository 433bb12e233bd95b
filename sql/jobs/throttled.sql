-- Says why ($3, text; NULL: nothing does) step $2 (int) of job $1 (bigint) is held back. Row lock.
-- Caller: jobs/backfill.
UPDATE lockkeeper.ddl_reorg AS r SET throttled = $3
 WHERE r.job_id = $1::bigint AND r.seq = $2::integer AND r.throttled IS DISTINCT FROM $3;
