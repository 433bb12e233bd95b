-- A row per index of the table named $1 (text, quoted), with its state and what it is made of
-- (parse::index_signature). Caller: workers/outside.
SELECT i.indexrelid AS oid, i.indisvalid AS valid,
       '"' || replace(c.relname, '"', '""') || '"' AS quoted,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name,
       CASE WHEN i.indisunique THEN 'unique ' ELSE '' END || m.amname || ' ' || (
           SELECT pg_catalog.string_agg(coalesce(a.attname, '()'), ',' ORDER BY k.n)
             FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
             LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum <> 0
            WHERE k.n <= i.indnkeyatts) || CASE WHEN i.indpred IS NOT NULL THEN ' where' ELSE '' END AS signature
  FROM pg_catalog.pg_index AS i
  JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
  JOIN pg_catalog.pg_am AS m ON m.oid = c.relam
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE i.indrelid = pg_catalog.to_regclass($1) ORDER BY i.indexrelid;
