-- One row: how long job $1 (bigint) waits for nodes and transactions, and what is to happen then. No row: it does
-- not. Locks nothing. Caller: versions/wait.
SELECT extract(epoch FROM pg_catalog.clock_timestamp() - m.since) AS waited,
       lockkeeper.mdl_setting(j.settings, 'mdl_timeout')::bigint AS timeout,
       lockkeeper.mdl_setting(j.settings, 'mdl_on_timeout') AS on_timeout,
       lockkeeper.mdl_setting(j.settings, 'kill_blockers')::bigint AS kill_after
  FROM lockkeeper.ddl_mdl_info AS m JOIN lockkeeper.ddl_job AS j ON j.id = m.job_id
 WHERE m.job_id = $1::bigint;
