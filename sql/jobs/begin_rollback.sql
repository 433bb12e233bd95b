-- One row: does the claim of job $1 (bigint) with epoch $2 (bigint) hold? Then it goes back from now on, because
-- of error $3 (jsonb). Row lock. Caller: jobs/steps.
SELECT lockkeeper.begin_rollback($1::bigint, $2::bigint, $3::jsonb) AS held;
