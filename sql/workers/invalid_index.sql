-- A row: the index named $1 (text, quoted) is there, and invalid. Caller: workers/outside.
SELECT i.indexrelid FROM pg_catalog.pg_index AS i
 WHERE i.indexrelid = pg_catalog.to_regclass($1) AND NOT i.indisvalid;
