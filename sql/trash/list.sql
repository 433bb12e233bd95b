-- A row per table in the trash as JSON, the oldest first. Locks nothing. Caller: trash.
SELECT pg_catalog.row_to_json(t) AS item FROM (
    SELECT v.id, v.schema_name, v.name, v.job_id, v.role, v.bytes, v.put_at, v.purge_at, v.lost_columns,
           extract(epoch FROM v.left_for)::float8 AS left_seconds
      FROM lockkeeper.trash AS v ORDER BY v.id) AS t;
