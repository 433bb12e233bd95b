-- A row per name of a relation or a constraint that a new one of table $1 (oid) must not have: those in its schema
-- that begin like the table's, and all constraints of the table. Locks nothing. Caller: catalog/reader.
WITH own AS (SELECT c.oid, c.relnamespace, pg_catalog."left"(c.relname, 10) AS head
               FROM pg_catalog.pg_class AS c WHERE c.oid = $1::pg_catalog.oid)
SELECT c.relname AS name, true AS relation
  FROM own JOIN pg_catalog.pg_class AS c ON c.relnamespace = own.relnamespace
 WHERE pg_catalog.starts_with(c.relname, own.head)
UNION
SELECT k.conname, false FROM own JOIN pg_catalog.pg_constraint AS k ON k.connamespace = own.relnamespace
 WHERE pg_catalog.starts_with(k.conname, own.head) OR k.conrelid = own.oid;
