DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_name LIKE 'crate%' AND table_type = 'BASE TABLE' ORDER BY 1
    LOOP
        EXECUTE format('ALTER TABLE %I ADD COLUMN audited boolean NOT NULL DEFAULT false', r.table_name);
    END LOOP;
END
$$;
