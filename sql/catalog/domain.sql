-- One row: is the type named $1 (text) a domain with a constraint? NULL: no such type.
-- Locks nothing. Caller: catalog/reader.
SELECT pg_catalog.bool_or(t.typtype = 'd' AND (t.typnotnull OR EXISTS (
           SELECT FROM pg_catalog.pg_constraint AS k WHERE k.contypid = t.oid))) AS constrained
  FROM pg_catalog.pg_type AS t WHERE t.oid = pg_catalog.to_regtype($1);
