-- A row per node or transaction that holds up job $1 (bigint), or any job when that is NULL; those that have done so
-- for the longest first. Locks nothing. Caller: versions/wait.
SELECT v.job_id, v.action, v.state, v.schema_state, v.step, v.version, v.blocker, v.node_id, v.name, v.node_version,
       extract(epoch FROM v.lease_until - pg_catalog.clock_timestamp()) AS lease_left, v.pid, v.role, v.application,
       v.transaction_state, extract(epoch FROM v.transaction_age) AS transaction_age, v.query, v.relation,
       extract(epoch FROM pg_catalog.clock_timestamp() - v.since) AS waited
  FROM lockkeeper.ddl_mdl_view AS v
 WHERE v.job_id = $1::bigint OR $1::bigint IS NULL
 ORDER BY v.since, v.job_id, v.transaction_age DESC NULLS LAST, v.node_id;
