-- One row: what was there when step $2 (int) of job $1 (bigint) began; none: it never began.
-- Caller: jobs/queue.
SELECT s.before FROM lockkeeper.ddl_step AS s WHERE s.job_id = $1::bigint AND s.seq = $2::integer
   AND s.state <> 'pending';
