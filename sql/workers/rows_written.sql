-- One row: rows of table $1 (oid) that this transaction has updated. Caller: workers/executor.
SELECT pg_catalog.pg_stat_get_xact_tuples_updated($1::pg_catalog.oid) AS rows;
