-- A row per ended job as JSON, newest first: $1 (jsonb) as lockkeeper.find_history has it, $2 (int) at
-- most. Caller: jobs/view.
SELECT pg_catalog.row_to_json(h) AS job FROM (
    SELECT v.id, v.state, v.schema_state, v.action, v.objects, v.role, v.tries,
           pg_catalog.round(extract(epoch FROM v.waited)::numeric, 3) AS waited_seconds,
           pg_catalog.round(extract(epoch FROM v.took)::numeric, 3) AS took_seconds,
           v.ended_at, v.schema_version, v.batch_id, v.worker, v.error, v.statement
      FROM lockkeeper.find_history($1::jsonb, $2::integer) AS f(id)
      JOIN lockkeeper.history AS v ON v.id = f.id
     ORDER BY v.ended_at DESC, v.id DESC) AS h;
