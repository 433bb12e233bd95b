-- A row per unfinished job as JSON, in id order, $1 (int) at most (held: what the whole queue waits for), in state $2 (text) or in any when that is empty. Caller: jobs/view.
SELECT pg_catalog.row_to_json(j) AS job FROM (
    SELECT v.id, v.state, v.schema_state, v.action, v.objects, v.dependency_id, v.paused_by,
           pg_catalog.round(extract(epoch FROM v.age)::numeric, 3) AS age_seconds, v.worker, v.role,
           v.tries, v.retry_at, v.error, v.batch_id, v.statement,
           CASE WHEN v.state = 'queueing' AND v.dependency_id IS NULL THEN lockkeeper.held_by_queue() END AS held,
           (SELECT pg_catalog.to_json(p) FROM lockkeeper.progress AS p WHERE p.job_id = v.id LIMIT 1) AS progress
      FROM lockkeeper.jobs AS v WHERE $2::text = '' OR v.state = $2::text ORDER BY v.id LIMIT $1::integer) AS j;
