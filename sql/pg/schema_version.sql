-- One row: the version of the lockkeeper schema.
-- Locks nothing. Caller: pg/migrator.
SELECT max(m.version) AS version FROM lockkeeper.ddl_migration AS m;
