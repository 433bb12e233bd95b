-- One row: what is set for job $1 (bigint) after the changes of $2 (jsonb). Row lock. Caller: jobs/steer.
SELECT lockkeeper.alter_job($1::bigint, $2::jsonb) AS tuning;
