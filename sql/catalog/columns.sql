-- A row per column of the table with oid $1 (oid).
-- Locks nothing. Caller: catalog/reader.
SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, NULL) AS type,
       a.atttypmod AS type_modifier, a.attnotnull AS not_null, a.attgenerated <> '' AS generated,
       a.attidentity <> '' AS identity,
       -- a domain may have a composite type under it: careful
       t.typtype NOT IN ('b', 'e', 'r', 'm') AND NOT (t.typtype = 'd' AND b.typtype IN ('b', 'e', 'r', 'm'))
           AS composite
  FROM pg_catalog.pg_attribute AS a
  JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_type AS b ON b.oid = t.typbasetype
 WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum;
