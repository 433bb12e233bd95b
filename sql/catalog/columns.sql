-- A row per column of the table with oid $1 (oid).
-- Locks nothing. Caller: catalog/reader.
SELECT a.attname AS name, pg_catalog.format_type(a.atttypid, NULL) AS type,
       a.atttypmod AS type_modifier, a.attnotnull AS not_null
  FROM pg_catalog.pg_attribute AS a
 WHERE a.attrelid = $1::pg_catalog.oid AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum;
