-- A row per state, action and cause (why it does not move, or NULL) of unfinished jobs: how many; the age of the
-- oldest; the first one; for how long one has been held up (NULL: the tables do not tell), and how old what holds it up
-- is, at most. In seconds. Locks nothing.
-- Caller: workers/reporter.
WITH standing AS (
    SELECT EXISTS (SELECT FROM lockkeeper.ddl_setting AS s
                    WHERE (s.name = 'queue' AND s.value <> 'running') OR s.name = 'upgrade') AS still)
SELECT j.state::text AS state, j.action, c.cause, count(*) AS jobs,
       extract(epoch FROM pg_catalog.clock_timestamp() - min(j.submitted_at)) AS oldest_seconds,
       min(j.id) AS first_job,
       extract(epoch FROM pg_catalog.clock_timestamp() - min(CASE WHEN c.cause = 'dependency' THEN j.submitted_at
                    WHEN c.cause IN ('paused', 'node') THEN coalesce(m.since, j.state_since) END)) AS held_seconds,
       coalesce(max((j.error->>'held_seconds')::float8
                    + extract(epoch FROM pg_catalog.clock_timestamp() - j.state_since))
                FILTER (WHERE c.cause = j.error->>'waits_for'),
                max(extract(epoch FROM pg_catalog.clock_timestamp() - m.since)), 0) AS blocker_seconds
  FROM lockkeeper.ddl_job AS j
 CROSS JOIN standing
  LEFT JOIN lockkeeper.ddl_reorg AS r ON j.state = 'running' AND r.job_id = j.id AND r.throttled IS NOT NULL
  LEFT JOIN lockkeeper.ddl_mdl_info AS m ON j.state = 'done' AND m.job_id = j.id
 CROSS JOIN LATERAL (
    SELECT CASE WHEN j.state = 'paused' THEN 'paused'
                WHEN j.state = 'done' THEN 'node'
                WHEN j.state = 'running' AND r.job_id IS NOT NULL THEN 'throttle'
                WHEN j.state <> 'queueing' THEN NULL
                WHEN j.waits > 0 THEN 'dependency'
                WHEN standing.still THEN 'queue'
                WHEN j.retry_at IS NULL OR j.retry_at <= pg_catalog.clock_timestamp() THEN 'slot'
                ELSE coalesce(j.error->>'waits_for', 'retry') END AS cause) AS c
 GROUP BY j.state, j.action, c.cause;
