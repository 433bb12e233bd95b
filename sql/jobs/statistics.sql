-- A row per action and final state of the last seven days, as JSON, the most frequent first.
-- Caller: jobs/view.
SELECT pg_catalog.row_to_json(s) AS job FROM (
    SELECT v.action, v.state, v.jobs, v.retries, v.last,
           pg_catalog.round(extract(epoch FROM v.waited_p50)::numeric, 3) AS waited_p50_seconds,
           pg_catalog.round(extract(epoch FROM v.waited_p99)::numeric, 3) AS waited_p99_seconds,
           pg_catalog.round(extract(epoch FROM v.took_p50)::numeric, 3) AS took_p50_seconds,
           pg_catalog.round(extract(epoch FROM v.took_p99)::numeric, 3) AS took_p99_seconds
      FROM lockkeeper.statistics AS v ORDER BY v.jobs DESC, v.action, v.state) AS s;
