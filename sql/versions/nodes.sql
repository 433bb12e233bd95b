-- A row per node. Locks nothing. Caller: versions/wait.
SELECT n.id, n.name, n.role, n.version, v.version - n.version AS lag, n.pid, n.bound,
       extract(epoch FROM n.lease) AS lease, extract(epoch FROM n.lease_until - pg_catalog.clock_timestamp()) AS lease_left,
       extract(epoch FROM pg_catalog.clock_timestamp() - n.gone_since) AS gone,
       extract(epoch FROM pg_catalog.clock_timestamp() - n.registered_at) AS age,
       (SELECT pg_catalog.json_agg(m.job_id ORDER BY m.job_id) FROM lockkeeper.ddl_mdl_view AS m
         WHERE m.node_id = n.id) AS holds_up
  FROM lockkeeper.ddl_node AS n, lockkeeper.ddl_schema_version AS v ORDER BY n.name, n.id;
