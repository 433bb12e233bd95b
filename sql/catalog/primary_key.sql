-- A row per column of the primary key of table $1 (oid), in its order. Locks nothing. Caller: catalog/reader.
SELECT a.attname AS name
  FROM pg_catalog.pg_index AS i
 CROSS JOIN pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n)
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
 WHERE i.indrelid = $1::pg_catalog.oid AND i.indisprimary AND k.n <= i.indnkeyatts ORDER BY k.n;
