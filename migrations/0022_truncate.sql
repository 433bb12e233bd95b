-- A script that empties all tables must not empty the queue.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name, breaking) VALUES (22, 'truncate', false);

CREATE FUNCTION lockkeeper.not_to_be_truncated() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'table %.% is not to be truncated', quote_ident(TG_TABLE_SCHEMA), quote_ident(TG_TABLE_NAME)
        USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'leave the schema lockkeeper out';
END $$;
REVOKE ALL ON FUNCTION lockkeeper.not_to_be_truncated() FROM PUBLIC;

DO $$
DECLARE
    kept regclass;
BEGIN
    FOR kept IN SELECT c.oid FROM pg_catalog.pg_class AS c
                 WHERE c.relnamespace = 'lockkeeper'::pg_catalog.regnamespace AND c.relkind = 'r' ORDER BY c.relname LOOP
        EXECUTE pg_catalog.format('CREATE TRIGGER not_to_be_truncated BEFORE TRUNCATE ON %s '
                                  'FOR EACH STATEMENT EXECUTE FUNCTION lockkeeper.not_to_be_truncated()', kept);
    END LOOP;
END $$;
