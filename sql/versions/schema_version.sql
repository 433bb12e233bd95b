-- One row: the version of the database; waits for a step that is being committed. Caller: versions/syncer.
SELECT lockkeeper.schema_version() AS version;
