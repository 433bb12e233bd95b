-- One row: the table or index named $1 (text, quoted); none when it does not exist.
-- Locks nothing. Caller: catalog/reader.
SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.oid AS oid,
       pg_catalog.pg_total_relation_size(c.oid) AS bytes, c.reltuples AS rows
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.oid = pg_catalog.to_regclass($1);
