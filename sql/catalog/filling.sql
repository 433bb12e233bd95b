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
       pg_catalog.has_schema_privilege($2, c.relnamespace, 'CREATE') AS may_create,
       -- session_replication_role: both the session, and the role by itself
       (SELECT pg_catalog.bool_and(r.rolsuper) FROM pg_catalog.pg_roles AS r
         WHERE r.rolname IN ($2, SESSION_USER)) AS may_be_quiet
  FROM pg_catalog.pg_class AS c WHERE c.oid = $1::pg_catalog.oid;
