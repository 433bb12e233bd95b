-- One row: what belongs to column $2 (name) of table $1 (oid) and would have to be made anew for another column in
-- its place, and in `others` what cannot be. Needs a search_path of pg_catalog, so that names come with their
-- schemas. Locks nothing. Caller: catalog/reader.
WITH own AS (
    SELECT a.* FROM pg_attribute AS a WHERE a.attrelid = $1::oid AND a.attname = $2 AND NOT a.attisdropped
), used AS (  -- by what is the column used?
    SELECT d.classid, d.objid, d.objsubid, d.deptype
      FROM own JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = own.attrelid
                                  AND d.refobjsubid = own.attnum
), indexes AS (
    SELECT i.*, c.relname, c.reltablespace, k.conname, k.contype, k.condeferrable, k.condeferred, k.oid AS con
      FROM own JOIN pg_index AS i ON i.indrelid = own.attrelid
      JOIN pg_class AS c ON c.oid = i.indexrelid
      LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
     WHERE own.attnum = ANY (i.indkey::int2[])
        OR i.indexrelid IN (SELECT u.objid FROM used AS u WHERE u.classid = 'pg_class'::regclass)
), checks AS (
    SELECT k.* FROM own JOIN pg_constraint AS k ON k.conrelid = own.attrelid
     WHERE k.contype IN ('c', 'f') AND own.attnum = ANY (k.conkey) AND k.conname NOT LIKE 'lockkeeper\_same\_%'
), referring AS (
    SELECT k.* FROM own JOIN pg_constraint AS k ON k.confrelid = own.attrelid
     WHERE k.contype = 'f' AND own.attnum = ANY (k.confkey)
), sequences AS (
    SELECT c.oid, n.nspname, c.relname, c.relacl, u.deptype, s.*
      FROM used AS u JOIN pg_class AS c ON u.classid = 'pg_class'::regclass AND c.oid = u.objid AND c.relkind = 'S'
      JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_sequence AS s ON s.seqrelid = c.oid
)
SELECT f.*, md5(to_jsonb(f)::text) AS digest FROM (
SELECT (SELECT attnotnull FROM own) AS not_null, (SELECT format('%s %s', atttypid, attcollation) FROM own) AS type,
       (SELECT pg_get_expr(d.adbin, d.adrelid) FROM own JOIN pg_attrdef AS d
            ON d.adrelid = own.attrelid AND d.adnum = own.attnum WHERE own.attgenerated = '') AS default_value,
       (SELECT attidentity FROM own) AS identity,
       (SELECT attgenerated <> '' FROM own) AS generated,
       (SELECT col_description(attrelid, attnum) FROM own) AS comment,
       (SELECT nullif(attstattarget, -1) FROM own) AS statistics,
       (SELECT array_to_string(attoptions, ', ') FROM own) AS options,
       (SELECT k.conname FROM own JOIN pg_constraint AS k ON k.conrelid = own.attrelid
         WHERE k.contype = 'n' AND own.attnum = ANY (k.conkey)) AS not_null_name,
       (SELECT json_agg(json_build_object(
                   'name', s.relname, 'schema', s.nspname, 'identity', s.deptype = 'i', 'granted', s.relacl IS NOT NULL,
                   'start', s.seqstart, 'increment', s.seqincrement, 'cache', s.seqcache, 'cycle', s.seqcycle,
                   'comment', obj_description(s.oid, 'pg_class'),
                   'min', CASE WHEN s.seqmin <> CASE WHEN s.seqincrement > 0 THEN 1 ELSE CASE s.seqtypid
                          WHEN 'int2'::regtype THEN -32768 WHEN 'int4'::regtype THEN -2147483648
                          ELSE -9223372036854775808 END END THEN s.seqmin END,
                   'max', CASE WHEN s.seqmax <> CASE WHEN s.seqincrement < 0 THEN -1 ELSE CASE s.seqtypid
                          WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647
                          ELSE 9223372036854775807 END END THEN s.seqmax END)) FROM sequences AS s) AS sequences,
       (SELECT json_agg(json_build_object(
                   'name', i.relname, 'definition', pg_get_indexdef(i.indexrelid), 'valid', i.indisvalid,
                   'constraint', i.contype IS NOT NULL, 'primary', i.indisprimary, 'unique', i.indisunique,
                   'exclusion', i.indisexclusion, 'deferrable', i.condeferrable, 'deferred', i.condeferred,
                   'clustered', i.indisclustered, 'replica_identity', i.indisreplident,
                   'tablespace', i.reltablespace <> 0,
                   'comment', obj_description(i.indexrelid, 'pg_class'),
                   'constraint_comment', obj_description(i.con, 'pg_constraint')) ORDER BY i.relname)
          FROM indexes AS i) AS indexes,
       (SELECT json_agg(json_build_object(
                   'name', k.conname, 'definition', pg_get_constraintdef(k.oid), 'valid', k.convalidated,
                   'target', k.confrelid::regclass::text, 'target_oid', k.confrelid, 'self', k.confrelid = k.conrelid,
                   'comment', obj_description(k.oid, 'pg_constraint')) ORDER BY k.conname) FROM checks AS k) AS checks,
       (SELECT json_agg(json_build_object(
                   'name', k.conname, 'definition', pg_get_constraintdef(k.oid), 'valid', k.convalidated,
                   'table', format('%I.%I', n.nspname, c.relname), 'partitioned', c.relkind = 'p' OR c.relispartition,
                   'comment', obj_description(k.oid, 'pg_constraint')) ORDER BY c.oid, k.conname)
          FROM referring AS k JOIN pg_class AS c ON c.oid = k.conrelid
          JOIN pg_namespace AS n ON n.oid = c.relnamespace) AS referring,
       (SELECT json_agg(format('GRANT %s (%I) ON TABLE %s TO %s%s', p.privilege_type, own.attname, own.attrelid::regclass,
                   CASE p.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(p.grantee)) END,
                   CASE WHEN p.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END))
          FROM own, aclexplode(own.attacl) AS p) AS grants,
       (SELECT json_agg(DISTINCT pg_describe_object(u.classid, u.objid, u.objsubid)) FROM used AS u
         WHERE NOT (u.classid = 'pg_class'::regclass AND u.objid IN (
                        SELECT i.indexrelid FROM indexes AS i UNION SELECT s.oid FROM sequences AS s))
           AND NOT (u.classid = 'pg_constraint'::regclass AND u.objid IN (
                        SELECT k.oid FROM checks AS k UNION SELECT k.oid FROM referring AS k
                        UNION SELECT k.oid FROM own JOIN pg_constraint AS k ON k.conrelid = own.attrelid
                               WHERE k.conname LIKE 'lockkeeper\_same\_%'
                        UNION SELECT i.con FROM indexes AS i WHERE i.con IS NOT NULL
                        UNION SELECT k.oid FROM own JOIN pg_constraint AS k ON k.conrelid = own.attrelid
                               WHERE k.contype = 'n'))
           AND NOT (u.classid = 'pg_attrdef'::regclass AND u.objid IN (
                        SELECT d.oid FROM own
                          JOIN pg_attrdef AS d ON d.adrelid = own.attrelid AND d.adnum = own.attnum))
       ) AS others
) AS f;
