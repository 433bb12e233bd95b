-- One row: what became of it (lockkeeper.end_job). $1 job (bigint), $2 epoch (bigint), $3 final
-- state, $4 error (jsonb or NULL), $5 steps (jsonb). Row locks in the queue. Caller: jobs/queue.
SELECT lockkeeper.end_job($1::bigint, $2::bigint, $3::lockkeeper.job_state, $4::jsonb, $5::jsonb) AS outcome;
