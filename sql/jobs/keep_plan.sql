-- One row: does the claim of job $1 (bigint) with epoch $2 (bigint) hold? Then its plan $3 (jsonb) is kept.
-- Row lock. Caller: jobs/steps.
SELECT lockkeeper.keep_plan($1::bigint, $2::bigint, $3::jsonb) AS held;
