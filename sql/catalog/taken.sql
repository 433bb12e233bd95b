-- A row per name in the schema of table $1 (oid) that begins like the table's: of relations and constraints.
-- Locks nothing. Caller: catalog/reader.
WITH own AS (SELECT c.relnamespace, pg_catalog."left"(c.relname, 20) AS head
               FROM pg_catalog.pg_class AS c WHERE c.oid = $1::pg_catalog.oid)
SELECT c.relname AS name FROM own JOIN pg_catalog.pg_class AS c ON c.relnamespace = own.relnamespace
 WHERE pg_catalog.starts_with(c.relname, own.head)
UNION
SELECT k.conname FROM own JOIN pg_catalog.pg_constraint AS k ON k.connamespace = own.relnamespace
 WHERE pg_catalog.starts_with(k.conname, own.head);
