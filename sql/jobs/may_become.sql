-- One row: whether the caller's role may SET ROLE $1 (text), and who that is. A role that is missing may be made before.
-- Locks nothing. Caller: client.
SELECT a.acting, NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = $1::text)
           OR a.acting = $1::text
           OR (SELECT pg_catalog.pg_has_role(a.acting, r.oid,
                          CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END)
                 FROM pg_catalog.pg_roles AS r WHERE r.rolname = $1::text) AS may
  FROM (SELECT lockkeeper.acting_role() AS acting) AS a;
