-- One row: what stands in the way of a backfill of table $1 (oid) for role $2 (name). Locks nothing.
-- Caller: catalog/reader.
SELECT c.relispartition OR c.reloftype <> 0 OR c.relhassubclass OR EXISTS (
           SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid) AS of_a_family,
       c.relforcerowsecurity AS forces_row_security, c.relhasrules AS has_rules,
       -- triggers that an UPDATE of another column fires
       coalesce((SELECT pg_catalog.bool_or(t.tgenabled = 'O') FROM pg_catalog.pg_trigger AS t
                  WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 16 <> 0
                    AND t.tgattr::text = ''), false) AS has_triggers,
       coalesce((SELECT pg_catalog.bool_or(t.tgenabled IN ('A', 'R')) FROM pg_catalog.pg_trigger AS t
                  WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 16 <> 0
                    AND t.tgattr::text = ''), false) AS has_loud_triggers,
       EXISTS (SELECT FROM pg_catalog.pg_publication_tables AS p
                WHERE p.schemaname = n.nspname AND p.tablename = c.relname) AS published,
       EXISTS (SELECT FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
                WHERE a.attrelid <> c.oid AND NOT a.attisdropped
                  AND (t.oid = c.reltype OR t.typelem = c.reltype OR t.typbasetype = c.reltype)) AS row_type_used,
       EXISTS (SELECT FROM pg_catalog.pg_trigger AS t
                WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgtype & 3 = 3
                  AND t.tgname::text COLLATE "C" > '~lockkeeper_fill') AS has_later_triggers,
       EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
                WHERE k.conrelid = c.oid AND k.contype = 'c' AND NOT k.convalidated) AS has_not_valid,
       pg_catalog.has_schema_privilege($2, c.relnamespace, 'CREATE') AS may_create,
       -- session_replication_role: both the session, and the role by itself
       (SELECT pg_catalog.bool_and(r.rolsuper) FROM pg_catalog.pg_roles AS r
         WHERE r.rolname IN ($2, SESSION_USER)) AS may_be_quiet
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.oid = $1::pg_catalog.oid;
