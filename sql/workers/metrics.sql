-- A row per state, action and pool of unfinished jobs: how many, the oldest in seconds.
-- Locks nothing. Caller: workers/control.
SELECT j.state::text AS state, j.action, count(*) AS jobs,
       extract(epoch FROM pg_catalog.clock_timestamp() - min(j.submitted_at)) AS oldest_seconds
  FROM lockkeeper.ddl_job AS j GROUP BY j.state, j.action;
