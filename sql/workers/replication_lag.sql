-- One row: how far the slowest standby is behind, in seconds. Locks nothing. Caller: workers/executor.
-- NULL: there are standbys, and this role may not see how far they are.
SELECT CASE WHEN NOT coalesce(bool_or(s.state IS NULL), false)
            THEN coalesce(pg_catalog.max(extract(epoch FROM s.replay_lag)), 0) END AS seconds
  FROM pg_catalog.pg_stat_replication AS s;
