-- A row per node. Locks nothing. Caller: versions/wait.
SELECT n.id, n.name, n.role, n.version, n.lag, n.pid, extract(epoch FROM n.lease) AS lease,
       extract(epoch FROM n.lease_left) AS lease_left, extract(epoch FROM n.gone) AS gone,
       extract(epoch FROM n.age) AS age, pg_catalog.to_json(n.holds_up) AS holds_up
  FROM lockkeeper.nodes AS n ORDER BY n.name, n.id;
