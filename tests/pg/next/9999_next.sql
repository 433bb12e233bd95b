-- What a later release may bring while older workers run: a column of the hot table, one of history, a function of theirs anew.
INSERT INTO lockkeeper.ddl_migration (version, name, breaking) VALUES (9999, 'next', false);
ALTER TABLE lockkeeper.ddl_job ADD COLUMN later text;
ALTER TABLE lockkeeper.ddl_history ADD COLUMN later text;
CREATE INDEX ddl_history_later ON lockkeeper.ddl_history (later);
CREATE OR REPLACE FUNCTION lockkeeper.state_before(action text) RETURNS lockkeeper.schema_state
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN action LIKE 'drop %' THEN 'public' ELSE 'none' END::lockkeeper.schema_state
$$;
CREATE FUNCTION lockkeeper.of_later() RETURNS text LANGUAGE sql AS 'SELECT ''later''::text';
REVOKE ALL ON FUNCTION lockkeeper.of_later() FROM PUBLIC;
