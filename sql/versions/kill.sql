-- One row: whether backend $1 (int), which holds up job $2 (bigint), was ended. Needs pg_signal_backend.
-- Caller: versions/wait.
SELECT pg_catalog.pg_terminate_backend(v.pid) AS ended FROM lockkeeper.ddl_mdl_view AS v
 WHERE v.job_id = $2::bigint AND v.pid = $1::integer LIMIT 1;
