-- One row: the files of the temporary table $1 (text, quoted, without schema) and of its indexes, as one text.
-- Locks nothing. Caller: catalog/rehearsal.
SELECT coalesce(pg_catalog.string_agg(c.relfilenode::text, ' ' ORDER BY c.relfilenode), '') AS files
  FROM pg_catalog.pg_class AS c
 WHERE c.oid = pg_catalog.to_regclass('pg_temp.' || $1)
    OR c.oid IN (SELECT i.indexrelid FROM pg_catalog.pg_index AS i
                  WHERE i.indrelid = pg_catalog.to_regclass('pg_temp.' || $1));
