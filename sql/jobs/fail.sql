-- One row: did the claim still hold (lockkeeper.fail_job). $1 job (bigint), $2 epoch (bigint), $3 error
-- (jsonb). Locks its objects and those of the rest of its batch, and row locks. Caller: jobs/queue.
SELECT lockkeeper.fail_job($1::bigint, $2::bigint, $3::jsonb) AS held;
