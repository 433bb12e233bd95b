-- A row per column of table $1 (oid) that a valid CHECK (x IS NOT NULL) proves to be not null.
-- Locks nothing. Caller: catalog/reader.
SELECT a.attname AS name
  FROM pg_catalog.pg_constraint AS k
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
 WHERE k.conrelid = $1::pg_catalog.oid AND k.contype = 'c' AND k.convalidated
   AND pg_catalog.array_length(k.conkey, 1) = 1
   AND pg_catalog.pg_get_constraintdef(k.oid)
       = 'CHECK ((' || pg_catalog.quote_ident(a.attname) || ' IS NOT NULL))';
