-- A row per member of the partition tree of table $1 (oid), itself first: what a new index of it has to know.
-- Locks nothing. Caller: catalog/reader.
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind AS kind, t.parentrelid::pg_catalog.oid AS parent,
       (SELECT coalesce(pg_catalog.json_agg(o.relname), '[]') FROM pg_catalog.pg_class AS o
         WHERE o.relnamespace = c.relnamespace
           AND pg_catalog.starts_with(o.relname, pg_catalog."left"(c.relname, 10))) AS taken,
       (SELECT coalesce(pg_catalog.json_agg(pg_catalog.pg_get_indexdef(i.indexrelid)), '[]')
          FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid) AS indexes
  FROM pg_catalog.pg_partition_tree($1::pg_catalog.oid) AS t
  JOIN pg_catalog.pg_class AS c ON c.oid = t.relid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 ORDER BY t.level, c.oid;
