-- A row per job of $1 (jsonb array of ids) as JSON, in id order. Caller: jobs/view.
WITH wanted AS (SELECT e::bigint AS id FROM pg_catalog.jsonb_array_elements_text($1::jsonb) AS t(e)),
found AS (
    SELECT j.id, j.state, j.action, j.dependency_id, j.worker, j.tries, j.retry_at, j.error, j.paused_by,
           j.statement, extract(epoch FROM pg_catalog.clock_timestamp() - j.submitted_at) AS seconds,
           (SELECT pg_catalog.to_json(p) FROM lockkeeper.progress AS p WHERE p.job_id = j.id LIMIT 1) AS progress,
           CASE WHEN j.state = 'queueing' AND j.dependency_id IS NULL THEN lockkeeper.held_by_queue() END AS held
      FROM lockkeeper.jobs AS j JOIN wanted AS w ON w.id = j.id
    UNION ALL
    SELECT h.id, h.state, h.action, NULL, h.worker, h.tries, NULL, h.error, NULL, h.statement,
           extract(epoch FROM h.ended_at - h.submitted_at), NULL, NULL
      FROM lockkeeper.history AS h JOIN wanted AS w ON w.id = h.id)
SELECT pg_catalog.row_to_json(f) AS job FROM found AS f ORDER BY f.id;
