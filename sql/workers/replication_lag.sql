-- One row: how far the slowest standby is behind, in seconds. Locks nothing. Caller: workers/executor.
SELECT coalesce(pg_catalog.max(extract(epoch FROM s.replay_lag)), 0) AS seconds
  FROM pg_catalog.pg_stat_replication AS s;
