-- One row: whether the deadline of job $1 (bigint) has passed. Locks nothing. Caller: jobs/steer.
SELECT coalesce((SELECT lockkeeper.is_late(j) FROM lockkeeper.ddl_job AS j WHERE j.id = $1::bigint), false) AS late;
