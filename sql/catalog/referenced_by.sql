-- A row per table with a foreign key to table $1 (oid).
-- Locks nothing. Caller: catalog/reader.
SELECT DISTINCT k.conrelid::pg_catalog.regclass::pg_catalog.text AS name
  FROM pg_catalog.pg_constraint AS k
 WHERE k.contype = 'f' AND k.confrelid = $1::pg_catalog.oid AND k.conrelid <> k.confrelid
 ORDER BY name;
