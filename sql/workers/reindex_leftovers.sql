-- A row per invalid index that REINDEX CONCURRENTLY leaves when it is stopped (manual, REINDEX, "Rebuilding
-- Indexes Concurrently"). Locks nothing. Caller: workers/outside.
SELECT i.indexrelid AS oid,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name
  FROM pg_catalog.pg_index AS i
  JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AND n.nspname !~ '^pg_toast'
 ORDER BY i.indexrelid;
