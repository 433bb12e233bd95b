-- One row: is the type $1 (oid) a domain with a constraint? NULL: no such type.
-- Locks nothing. Caller: catalog/reader.
SELECT pg_catalog.bool_or(t.typtype = 'd' AND (t.typnotnull OR EXISTS (
           SELECT FROM pg_catalog.pg_constraint AS k WHERE k.contypid = t.oid))) AS constrained
  FROM pg_catalog.pg_type AS t WHERE t.oid = $1::pg_catalog.oid;
