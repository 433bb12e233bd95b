-- A row per index of the table named $1 (text, quoted), with its state. Caller: workers/outside.
SELECT i.indexrelid AS oid, i.indisvalid AS valid,
       '"' || replace(c.relname, '"', '""') || '"' AS quoted,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name
  FROM pg_catalog.pg_index AS i
  JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE i.indrelid = pg_catalog.to_regclass($1) ORDER BY i.indexrelid;
