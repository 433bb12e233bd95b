-- A row per relation of $1 (jsonb: oids), in their order: why it cannot be kept (NULL: it can). $2 (bool): by this role. Locks nothing. Caller: trash.
SELECT CASE WHEN lockkeeper.setting('trash_hours') = '0' THEN 'trash_hours is 0'
            WHEN c.relkind <> 'r' OR c.relispartition
                 OR EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE c.oid IN (i.inhrelid, i.inhparent))
                THEN 'it is partitioned, a partition, or inherits'
            WHEN c.relpersistence = 't' THEN 'it is temporary'
            WHEN EXISTS (SELECT FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
                          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND t.typtype IN ('c', 'd')
                            AND t.typnamespace <> 'pg_catalog'::pg_catalog.regnamespace)
                THEN 'a column has a domain or a composite type, whose changes it would hold up'
            WHEN NOT $2::boolean THEN NULL
            WHEN NOT pg_catalog.pg_has_role(c.relowner, 'usage') THEN 'the worker has not the rights of its owner'
            WHEN NOT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')
                THEN 'the worker may not create schemas in this database' END AS reason
  FROM pg_catalog.jsonb_array_elements_text($1::pg_catalog.jsonb) WITH ORDINALITY AS n(oid, place)
  JOIN pg_catalog.pg_class AS c ON c.oid = n.oid::pg_catalog.oid
 ORDER BY n.place;
