-- One row: the table or index $1 (oid); none when it does not exist.
-- Locks nothing. Caller: catalog/reader.
SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.oid AS oid,
       CASE WHEN c.relkind IN ('p', 'I')
            THEN (SELECT coalesce(sum(pg_catalog.pg_total_relation_size(t.relid)), 0)
                    FROM pg_catalog.pg_partition_tree(c.oid) AS t)
            ELSE pg_catalog.pg_total_relation_size(c.oid) END::bigint AS bytes, c.reltuples AS rows,
       EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = c.oid
                  AND k.contype IN ('p', 'u', 'x')) AS of_constraint,
       EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = c.oid) AS has_children
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.oid = $1::pg_catalog.oid;
