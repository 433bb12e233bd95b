-- A row per node, the furthest behind first: its name, state and lag in versions. Locks nothing.
-- Caller: workers/reporter.
SELECT n.name, n.lag, CASE WHEN n.gone IS NOT NULL OR n.lease_left < interval '0' THEN 'gone'
                           WHEN n.version < 0 THEN 'loading'
                           WHEN n.lag > 0 THEN 'behind' ELSE 'up to date' END AS state
  FROM lockkeeper.nodes AS n ORDER BY n.lag DESC, n.id;
