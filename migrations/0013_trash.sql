-- What was dropped can be had back until it is purged (promise 14).  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (13, 'trash');

-- A dropped table, moved to a schema of its own, lockkeeper_trash_<id>, with all that belongs to it. No names change, and
-- nobody but its owner and the queue's can reach it there.
CREATE TABLE lockkeeper.ddl_trash (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id       bigint NOT NULL,
    schema_name  name NOT NULL,                -- where it was
    name         name NOT NULL,
    relation     oid NOT NULL,
    role         name NOT NULL,                -- its owner
    bytes        bigint NOT NULL,
    foreign_keys jsonb NOT NULL DEFAULT '[]',  -- its own, which must not hold up the tables that they refer to
    put_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    purge_at     timestamptz NOT NULL
);
CREATE INDEX ddl_trash_purge ON lockkeeper.ddl_trash (purge_at);

CREATE VIEW lockkeeper.trash AS
SELECT t.id, t.schema_name::text AS schema_name, t.name::text AS name, t.job_id, t.role::text AS role, t.bytes, t.put_at, t.purge_at,
       t.purge_at - statement_timestamp() AS left_for
  FROM lockkeeper.ddl_trash AS t;
GRANT SELECT ON lockkeeper.trash TO PUBLIC;

-- As in 0011, and trash_hours.
CREATE OR REPLACE FUNCTION lockkeeper.setting(wanted text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT value FROM lockkeeper.ddl_setting WHERE name = wanted),
                    CASE wanted WHEN 'queue' THEN 'running' WHEN 'history_days' THEN '0'
                                WHEN 'history_rows' THEN '0' WHEN 'mdl' THEN 'on' WHEN 'mdl_timeout' THEN '0'
                                WHEN 'mdl_on_timeout' THEN 'wait' WHEN 'kill_blockers' THEN '0'
                                WHEN 'node_grace_ms' THEN '1000' WHEN 'node_lease_most' THEN '3600'
                                WHEN 'diff_hours' THEN '168' WHEN 'trash_hours' THEN '24' END)
$$;

-- As in 0011, and:
--   trash_hours      dropped tables are kept so long; 0: they are dropped at once
CREATE OR REPLACE FUNCTION lockkeeper.set(setting_name text, setting_value text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    least integer := CASE WHEN setting_name LIKE '%\_workers' OR setting_name IN ('diff_hours', 'node_lease_most') THEN 1 ELSE 0 END;
    most integer := CASE WHEN setting_name LIKE '%\_workers' THEN 256 WHEN setting_name = 'history_days' THEN 36500
                         WHEN setting_name = 'trash_hours' THEN 87600 ELSE 999999999 END;
    words text[] := CASE setting_name WHEN 'queue' THEN '{running,paused}'::text[] WHEN 'mdl' THEN '{on,nodes,off}'
                                      WHEN 'mdl_on_timeout' THEN '{wait,pause,cancel}' END;
BEGIN
    IF lockkeeper.setting(setting_name) IS NULL AND setting_name NOT IN ('general_workers', 'reorg_workers') THEN
        RAISE EXCEPTION 'there is no setting %', quote_literal(setting_name)
            USING ERRCODE = 'undefined_object',
                  HINT = 'queue, general_workers, reorg_workers, history_days, history_rows, mdl, mdl_timeout, '
                         'mdl_on_timeout, kill_blockers, node_grace_ms, node_lease_most, diff_hours, trash_hours';
    END IF;
    IF words IS NOT NULL THEN
        IF setting_value <> ALL (words) THEN
            RAISE EXCEPTION '% is one of: %', setting_name, array_to_string(words, ', ')
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
    ELSIF setting_value !~ '^[0-9]{1,9}$' OR setting_value::bigint NOT BETWEEN least AND most THEN
        RAISE EXCEPTION '% is a number from % to %', setting_name, least, most
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF setting_value IS NULL THEN
        DELETE FROM lockkeeper.ddl_setting WHERE name = setting_name;
    ELSE
        INSERT INTO lockkeeper.ddl_setting (name, value, changed_by)
        VALUES (setting_name, setting_value, lockkeeper.acting_role())
        ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_by = excluded.changed_by,
                                         changed_at = clock_timestamp();
    END IF;
    -- Waits that have begun go on by the new rule.
    IF setting_name = 'mdl' THEN
        UPDATE lockkeeper.ddl_mdl_info AS m SET mode = lockkeeper.mdl_setting(j.settings, 'mdl')
          FROM lockkeeper.ddl_job AS j WHERE j.id = m.job_id;
        PERFORM pg_notify('lockkeeper_ack', '');
    END IF;
    PERFORM pg_notify('lockkeeper_ready', 'settings');
END $$;

-- Moves tables to the trash, in the transaction of the job that drops them, which has locked them and knows that they
-- can be dropped. As the worker.
CREATE FUNCTION lockkeeper.put_in_trash(the_job bigint, relations oid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    relation oid;
    item lockkeeper.ddl_trash;
    key record;
BEGIN
    FOREACH relation IN ARRAY relations LOOP
        LOOP
            INSERT INTO lockkeeper.ddl_trash (job_id, schema_name, name, relation, role, bytes, purge_at)
            SELECT the_job, n.nspname, c.relname, c.oid, pg_get_userbyid(c.relowner), pg_total_relation_size(c.oid),
                   clock_timestamp() + lockkeeper.setting('trash_hours')::integer * interval '1 hour'
              FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = relation
            RETURNING * INTO item;
            EXIT WHEN to_regnamespace('lockkeeper_trash_' || item.id) IS NULL;
            DELETE FROM lockkeeper.ddl_trash WHERE id = item.id;
        END LOOP;
        FOR key IN SELECT k.conname, pg_get_constraintdef(k.oid) AS definition FROM pg_constraint AS k
                    WHERE k.conrelid = relation AND k.contype = 'f' ORDER BY k.conname LOOP
            item.foreign_keys := item.foreign_keys || jsonb_build_object('name', key.conname, 'definition', key.definition);
            EXECUTE format('ALTER TABLE %I.%I DROP CONSTRAINT %I', item.schema_name, item.name, key.conname);
        END LOOP;
        UPDATE lockkeeper.ddl_trash SET foreign_keys = item.foreign_keys WHERE id = item.id;
        EXECUTE format('CREATE SCHEMA lockkeeper_trash_%s', item.id);
        EXECUTE format('GRANT USAGE ON SCHEMA lockkeeper_trash_%s TO %I', item.id, item.role);
        EXECUTE format('ALTER TABLE %I.%I SET SCHEMA lockkeeper_trash_%s', item.schema_name, item.name, item.id);
    END LOOP;
END $$;

-- The statements that bring a table back, for its owner and for the owner of the queue, to be submitted as one batch: the
-- table with all that belongs to it, then its foreign keys, which may not hold any more. LK020: it is not there.
CREATE FUNCTION lockkeeper.restore_statements(item bigint) RETURNS SETOF text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    it lockkeeper.ddl_trash;
BEGIN
    SELECT * INTO it FROM lockkeeper.ddl_trash AS t
     WHERE t.id = item AND lockkeeper.may_steer(lockkeeper.acting_role(), t.role)
       AND EXISTS (SELECT FROM pg_class AS c WHERE c.oid = t.relation
                      AND c.relnamespace = to_regnamespace('lockkeeper_trash_' || t.id));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is nothing % in the trash, or it is not yours', item USING ERRCODE = 'LK020', HINT = 'lockkeeper trash';
    END IF;
    RETURN NEXT format('ALTER TABLE lockkeeper_trash_%s.%I SET SCHEMA %I', it.id, it.name, it.schema_name);
    RETURN QUERY SELECT format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', it.schema_name, it.name, k->>'name', k->>'definition')
                   FROM jsonb_array_elements(it.foreign_keys) AS k;
END $$;

-- Forgets what is not in the trash any more, and drops what has been there for long enough, or `at_once` (for its owner and for
-- the owner of the queue). Gives what was dropped, and of what could not be, why.
CREATE FUNCTION lockkeeper.purge_trash(at_once bigint[] DEFAULT '{}', most integer DEFAULT 10)
RETURNS TABLE (id bigint, name text, problem text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
    acting name := lockkeeper.acting_role();
    item lockkeeper.ddl_trash;
BEGIN
    FOR item IN SELECT * FROM lockkeeper.ddl_trash AS t
                 WHERE (t.purge_at < clock_timestamp() AND cardinality(at_once) = 0
                        OR t.id = ANY (at_once) AND lockkeeper.may_steer(acting, t.role)
                        OR NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = t.relation
                                          AND c.relnamespace = to_regnamespace('lockkeeper_trash_' || t.id)))
                 ORDER BY t.purge_at LIMIT most FOR UPDATE SKIP LOCKED LOOP
        id := item.id; name := format('%I.%I', item.schema_name, item.name); problem := NULL;
        BEGIN
            IF EXISTS (SELECT FROM pg_class AS c WHERE c.oid = item.relation
                          AND c.relnamespace = to_regnamespace('lockkeeper_trash_' || item.id)) THEN
                EXECUTE format('DROP TABLE lockkeeper_trash_%s.%I', item.id, item.name);
            ELSE
                name := NULL;
            END IF;
            EXECUTE format('DROP SCHEMA IF EXISTS lockkeeper_trash_%s', item.id);
            DELETE FROM lockkeeper.ddl_trash AS t WHERE t.id = item.id;
        EXCEPTION WHEN OTHERS THEN
            problem := SQLERRM;
            -- Tried again in an hour, so that it does not keep others from their turn.
            UPDATE lockkeeper.ddl_trash AS t SET purge_at = clock_timestamp() + interval '1 hour' WHERE t.id = item.id;
        END;
        IF name IS NOT NULL OR problem IS NOT NULL THEN RETURN NEXT; END IF;
    END LOOP;
END $$;

-- Who could use the queue before may use that too.
DO $$
DECLARE
    f regprocedure;
    grantee name;
BEGIN
    FOR f IN SELECT p.oid FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = 'lockkeeper'::regnamespace
               AND p.proname IN ('put_in_trash', 'restore_statements', 'purge_trash') LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
        FOR grantee IN SELECT DISTINCT pg_catalog.pg_get_userbyid(a.grantee) FROM pg_catalog.pg_proc AS p,
                              LATERAL pg_catalog.aclexplode(p.proacl) AS a
                        WHERE p.oid = 'lockkeeper.resolve_refs(jsonb, text[])'::regprocedure
                          AND a.grantee <> p.proowner AND a.grantee <> 0 LOOP
            CONTINUE WHEN f::text LIKE '%put_in_trash%';
            EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %I', f, grantee);
        END LOOP;
    END LOOP;
END $$;

-- As in 0012, and the trash.
ALTER FUNCTION lockkeeper.grant_use(name) RENAME TO grant_use_before_trash;
CREATE FUNCTION lockkeeper.grant_use(to_role name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM lockkeeper.grant_use_before_trash(to_role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION lockkeeper.restore_statements(bigint), '
                   'lockkeeper.purge_trash(bigint[], integer) TO %I', to_role);
END $$;
REVOKE ALL ON FUNCTION lockkeeper.grant_use(name) FROM PUBLIC;
