-- A row per object of the footprint of references $1 (jsonb) under the session's search_path $2.
-- Locks nothing. Caller: jobs/submit (plan).
SELECT r.object, pg_catalog.bool_or(r.exclusive) AS exclusive
  FROM lockkeeper.resolve_refs($1::jsonb,
           lockkeeper.path_schemas($2::text, lockkeeper.acting_role())) AS r
 GROUP BY r.object ORDER BY pg_catalog.bool_or(r.exclusive) DESC, r.object;
