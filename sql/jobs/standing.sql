-- One row while the claim of job $1 (bigint) with epoch $2 (bigint) holds, with the job's state
-- and the number of objects that it waits for;
-- locks the row. Caller: jobs/queue.
SELECT j.state::text AS state, j.waits FROM lockkeeper.ddl_job AS j
 WHERE j.id = $1::bigint AND j.epoch = $2::bigint AND j.claimed_by IS NOT NULL FOR UPDATE;
