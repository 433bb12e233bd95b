-- Rights apart from each other (read, submit, node, operate, work); which binaries may go on beside a newer schema.  breaking: yes
-- A migration that an older binary can live with says breaking = false in its row, and "breaking: no" above. After each from here on the migrator
-- calls renew_rights(), in the same transaction.
ALTER TABLE lockkeeper.ddl_migration ADD COLUMN breaking boolean NOT NULL DEFAULT true;
INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (14, 'rights');

-- As in 0006; and whoever may upgrade the queue (the right "operate").
CREATE OR REPLACE FUNCTION lockkeeper.may_steer(acting name, of_role name) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = 'lockkeeper'
                                                  AND pg_has_role(acting, n.nspowner, 'MEMBER'))
        OR EXISTS (SELECT FROM pg_roles AS r
                    WHERE r.rolname = of_role AND pg_has_role(acting, r.oid, 'MEMBER'))
        OR has_function_privilege(acting, 'lockkeeper.upgrade(boolean)', 'EXECUTE')
$$;

-- As in 0004; and operators.
CREATE OR REPLACE FUNCTION lockkeeper.may_read(of_role name) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = of_role AND pg_has_role(r.oid, 'MEMBER'))
        OR EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = 'lockkeeper'
                                                  AND pg_has_role(n.nspowner, 'MEMBER'))
        OR has_function_privilege('lockkeeper.upgrade(boolean)', 'EXECUTE')
$$;

-- Of operators, who need not be able to write the tables.
ALTER FUNCTION lockkeeper.set(text, text) SECURITY DEFINER;
ALTER FUNCTION lockkeeper.upgrade(boolean) SECURITY DEFINER;

-- Drops what the caller's role may drop; else gives why not, and it is tried again `later` (NULL: when its time is over).
CREATE FUNCTION lockkeeper.drop_from_trash(item lockkeeper.ddl_trash, later interval, OUT name text, OUT problem text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class AS c WHERE c.oid = item.relation
                  AND c.relnamespace = to_regnamespace('lockkeeper_trash_' || item.id)) THEN
        name := format('%I.%I', item.schema_name, item.name);
        EXECUTE format('DROP TABLE lockkeeper_trash_%s.%I', item.id, item.name);
    END IF;
    EXECUTE format('DROP SCHEMA IF EXISTS lockkeeper_trash_%s', item.id);
    DELETE FROM lockkeeper.ddl_trash AS t WHERE t.id = item.id;
EXCEPTION WHEN OTHERS THEN
    name := format('%I.%I', item.schema_name, item.name);
    problem := SQLERRM;
    -- Later, so that it does not keep others from their turn.
    UPDATE lockkeeper.ddl_trash AS t SET purge_at = clock_timestamp() + later WHERE t.id = item.id AND later IS NOT NULL;
END $$;

-- Forgets what is not in the trash any more, and drops what has been there for long enough. Of workers, with their own
-- rights: the schemas of the trash are theirs. Gives what was dropped, and of what could not be, why.
CREATE FUNCTION lockkeeper.purge_due(most integer)
RETURNS TABLE (id bigint, name text, problem text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
    item lockkeeper.ddl_trash;
BEGIN
    FOR item IN SELECT * FROM lockkeeper.ddl_trash AS t
                 WHERE t.purge_at < clock_timestamp()
                    OR NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = t.relation
                                      AND c.relnamespace = to_regnamespace('lockkeeper_trash_' || t.id))
                 ORDER BY t.purge_at LIMIT most FOR UPDATE SKIP LOCKED LOOP
        id := item.id;
        SELECT d.name, d.problem INTO name, problem FROM lockkeeper.drop_from_trash(item, '1 h') AS d;
        IF name IS NOT NULL OR problem IS NOT NULL THEN RETURN NEXT; END IF;
    END LOOP;
END $$;

-- Drops items of the trash now, for their owner and for operators, whose statement it is, not whose right: it is done with
-- those of the owner of the queue, or, where these do not suffice, by the next worker that looks (later).
DROP FUNCTION lockkeeper.purge_trash(bigint[], integer);
CREATE FUNCTION lockkeeper.purge_trash(at_once bigint[] DEFAULT '{}', most integer DEFAULT 10)
RETURNS TABLE (id bigint, name text, problem text, later boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
    acting name := lockkeeper.acting_role();
    item lockkeeper.ddl_trash;
BEGIN
    FOR item IN SELECT * FROM lockkeeper.ddl_trash AS t
                 WHERE t.id = ANY (at_once) AND lockkeeper.may_steer(acting, t.role)
                 ORDER BY t.purge_at LIMIT most FOR UPDATE SKIP LOCKED LOOP
        id := item.id;
        later := EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = 'lockkeeper_trash_' || item.id
                                                         AND NOT pg_has_role(n.nspowner, 'usage'));
        IF later THEN
            UPDATE lockkeeper.ddl_trash AS t SET purge_at = clock_timestamp() WHERE t.id = item.id;
            -- Of what was restored there is nothing to be told.
            CONTINUE WHEN NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = item.relation
                                         AND c.relnamespace = to_regnamespace('lockkeeper_trash_' || item.id));
            name := format('%I.%I', item.schema_name, item.name);
        ELSE
            SELECT d.name, d.problem INTO name, problem FROM lockkeeper.drop_from_trash(item, '0 s') AS d;
        END IF;
        IF name IS NOT NULL OR problem IS NOT NULL THEN RETURN NEXT; END IF;
    END LOOP;
END $$;

-- The rate of a backfill is that since it was last begun: a pause does not count.
ALTER TABLE lockkeeper.ddl_reorg ADD COLUMN rated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN rated_rows bigint NOT NULL DEFAULT 0, ADD COLUMN rated_blocks bigint NOT NULL DEFAULT 0;
CREATE OR REPLACE VIEW lockkeeper.progress AS
SELECT r.job_id, 'backfill' AS what, d.rows, d.blocks AS blocks_done, r.blocks,
       CASE WHEN r.blocks > 0 THEN round(100.0 * d.blocks / r.blocks, 1) ELSE 100 END AS percent,
       round((d.rows - r.rated_rows) / greatest(extract(epoch FROM statement_timestamp() - r.rated_at), 0.001)) AS rows_per_second,
       CASE WHEN d.blocks > r.rated_blocks THEN round(extract(epoch FROM statement_timestamp() - r.rated_at)
                                                      * (r.blocks - d.blocks) / (d.blocks - r.rated_blocks), 1) END AS seconds_left,
       r.throttled, r.started_at
  FROM lockkeeper.ddl_reorg AS r
  JOIN lockkeeper.ddl_step AS s ON s.job_id = r.job_id AND s.seq = r.seq AND s.state = 'running'
 CROSS JOIN LATERAL (SELECT coalesce(sum(t.rows), 0)::bigint AS rows,
                            coalesce(sum(t.next_block - t.first_block), 0)::bigint AS blocks
                       FROM lockkeeper.ddl_subtask AS t WHERE t.job_id = r.job_id AND t.seq = r.seq) AS d
UNION ALL
SELECT j.id, p.phase, p.tuples_done, p.blocks_done, p.blocks_total,
       round(100.0 * CASE WHEN p.blocks_total > 0 THEN p.blocks_done::numeric / p.blocks_total
                          WHEN p.tuples_total > 0 THEN p.tuples_done::numeric / p.tuples_total END, 1),
       NULL, NULL, NULL, NULL
  FROM pg_stat_progress_create_index AS p JOIN lockkeeper.ddl_job AS j ON j.outside_pid = p.pid;

-- As in 0010; in_order: one range, so that one worker goes through the rows as they lie.
DROP FUNCTION lockkeeper.begin_backfill(bigint, bigint, integer, oid, boolean);
CREATE FUNCTION lockkeeper.begin_backfill(the_job bigint, claim_epoch bigint, the_seq integer, target oid, anew boolean,
                                          in_order boolean DEFAULT false)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job;
    blocks bigint := pg_relation_size(target) / current_setting('block_size')::bigint;
    range bigint := CASE WHEN in_order THEN greatest(blocks, 1) ELSE greatest(256, (blocks + 63) / 64) END;
BEGIN
    SELECT * INTO job FROM lockkeeper.ddl_job WHERE id = the_job AND epoch = claim_epoch FOR UPDATE;
    IF NOT FOUND OR job.claimed_by IS NULL THEN RAISE EXCEPTION 'claim lost' USING ERRCODE = 'LK001'; END IF;
    IF job.state <> 'running' THEN RAISE EXCEPTION 'to be stopped' USING ERRCODE = 'LK002'; END IF;
    UPDATE lockkeeper.ddl_step SET state = 'running', started_at = coalesce(started_at, clock_timestamp())
     WHERE job_id = the_job AND seq = the_seq;
    IF anew THEN DELETE FROM lockkeeper.ddl_reorg WHERE job_id = the_job AND seq = the_seq; END IF;
    INSERT INTO lockkeeper.ddl_reorg (job_id, seq, blocks) VALUES (the_job, the_seq, blocks) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        UPDATE lockkeeper.ddl_reorg AS r SET rated_at = clock_timestamp(), rated_rows = d.rows, rated_blocks = d.blocks
          FROM (SELECT coalesce(sum(t.rows), 0) AS rows, coalesce(sum(t.next_block - t.first_block), 0) AS blocks
                  FROM lockkeeper.ddl_subtask AS t WHERE t.job_id = the_job AND t.seq = the_seq) AS d
         WHERE r.job_id = the_job AND r.seq = the_seq;
        RETURN;
    END IF;
    INSERT INTO lockkeeper.ddl_subtask (job_id, seq, n, next_block, first_block, end_block, done)
    SELECT the_job, the_seq, i, i * range, i * range, least((i + 1) * range, blocks), false
      FROM generate_series(0, (blocks - 1) / range) AS i WHERE blocks > 0;
    IF blocks > range THEN PERFORM pg_notify('lockkeeper_ready', 'reorg'); END IF;
END $$;

-- What was dropped holds up nobody: what its columns and triggers are made of may be dropped while it is kept, with it.
-- A column that was taken away by a DROP … CASCADE is told.
ALTER TABLE lockkeeper.ddl_trash ADD COLUMN columns name[] NOT NULL DEFAULT '{}';
CREATE OR REPLACE VIEW lockkeeper.trash AS
SELECT t.id, t.schema_name::text AS schema_name, t.name::text AS name, t.job_id, t.role::text AS role, t.bytes, t.put_at, t.purge_at,
       t.purge_at - statement_timestamp() AS left_for,
       ARRAY(SELECT c::text FROM unnest(t.columns) WITH ORDINALITY AS w(c, n)
              WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = t.relation AND a.attname = c
                                   AND NOT a.attisdropped) ORDER BY n) AS lost_columns
  FROM lockkeeper.ddl_trash AS t
 -- What was restored is forgotten at the next look of a worker.
 WHERE EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = t.relation
                  AND c.relnamespace = pg_catalog.to_regnamespace('lockkeeper_trash_' || t.id));

-- As in 0013; and which columns it has.
CREATE OR REPLACE FUNCTION lockkeeper.put_in_trash(the_job bigint, relations oid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    relation oid;
    item lockkeeper.ddl_trash;
    key record;
BEGIN
    FOREACH relation IN ARRAY relations LOOP
        LOOP
            INSERT INTO lockkeeper.ddl_trash (job_id, schema_name, name, relation, role, bytes, purge_at, columns)
            SELECT the_job, n.nspname, c.relname, c.oid, pg_get_userbyid(c.relowner), pg_total_relation_size(c.oid),
                   clock_timestamp() + lockkeeper.setting('trash_hours')::integer * interval '1 hour',
                   ARRAY(SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0
                            AND NOT a.attisdropped ORDER BY a.attnum)
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

-- Drops those of these items of the trash that the job's role may drop: it drops, or changes, what they are made of, as it
-- might if they had been dropped for good. As the worker, in the job's transaction. Gives their names, and why one could not be dropped.
CREATE FUNCTION lockkeeper.purge_in_the_way(the_job bigint, claim_epoch bigint, items bigint[])
RETURNS TABLE (id bigint, name text, problem text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '1s' AS $$
DECLARE
    item lockkeeper.ddl_trash;
BEGIN
    FOR item IN SELECT t.* FROM lockkeeper.ddl_trash AS t JOIN lockkeeper.ddl_job AS j ON j.id = the_job AND j.epoch = claim_epoch
                 WHERE t.id = ANY (items) AND lockkeeper.may_steer(j.role, t.role) ORDER BY t.id FOR UPDATE OF t SKIP LOCKED LOOP
        id := item.id;
        SELECT d.name, d.problem INTO name, problem FROM lockkeeper.drop_from_trash(item, NULL) AS d;
        RETURN NEXT;
    END LOOP;
END $$;

-- Options of submit as enqueue has them: priority in words or as a number; none that it does not know.
CREATE FUNCTION lockkeeper.submit_options(options jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    other text := (SELECT k FROM jsonb_object_keys(options) AS k
                    WHERE k NOT IN ('key', 'priority', 'on_error', 'as_barrier', 'refuse_new') ORDER BY k LIMIT 1);
    level text := options->>'priority';
BEGIN
    IF other IS NOT NULL THEN
        RAISE EXCEPTION 'there is no option %', quote_literal(other)
            USING ERRCODE = 'invalid_parameter_value', HINT = 'key, priority, as_barrier, refuse_new';
    ELSIF level IS NULL THEN
        RETURN options;
    ELSIF level NOT IN ('high', 'normal', 'low', '1', '0', '-1') THEN
        RAISE EXCEPTION 'the priority is high, normal or low' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN options || jsonb_build_object('priority', CASE level WHEN 'high' THEN '1' WHEN 'normal' THEN '0' WHEN 'low' THEN '-1'
                                                                ELSE level END);
END $$;

-- As in 0003, with options that are looked at.
CREATE OR REPLACE FUNCTION lockkeeper.submit(sql text, options jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE sql AS $$
    SELECT e.id FROM lockkeeper.enqueue(pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object(
        'action', CASE WHEN (options->>'as_barrier')::pg_catalog.bool THEN 'barrier' ELSE 'unparsed' END,
        'parsed', coalesce((options->>'as_barrier')::pg_catalog.bool, false),
        'unparsed_run', coalesce((options->>'as_barrier')::pg_catalog.bool, false),
        'opaque', true,
        'statements', pg_catalog.jsonb_build_array(sql),
        'refs', '[{"kind": "database", "exclusive": true}]'::pg_catalog.jsonb,
        'search_path', pg_catalog.current_setting('search_path'),
        'settings', lockkeeper.statement_settings())), lockkeeper.submit_options(options)) AS e
    ORDER BY e.id LIMIT 1
$$;

-- What all jobs that could begin wait for: the command that ends it; NULL: nothing.
CREATE FUNCTION lockkeeper.held_by_queue() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE s.name WHEN 'queue' THEN '"set queue running"' ELSE '"upgrade end"' END FROM lockkeeper.ddl_setting AS s
     WHERE (s.name = 'queue' AND s.value <> 'running') OR s.name = 'upgrade' ORDER BY s.name DESC LIMIT 1
$$;

-- The functions that each right is made of.
CREATE FUNCTION lockkeeper.functions_of(wanted text) RETURNS SETOF regprocedure
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT ('lockkeeper.' || f)::regprocedure
      FROM (VALUES
        ('read', ARRAY['may_read(name)', 'acting_role()', 'setting(text)', 'dependency_id(bigint)', 'waits_for(bigint[])',
                       'conflicts_of(text[], boolean[])', 'chain_of(text[], boolean[])', 'find_history(jsonb, integer)',
                       'held_up(bigint)', 'held_by_queue()', 'holders_of(lockkeeper.ddl_mdl_info)', 'has_nodes()', 'statement_settings()',
                       'resolve_refs(jsonb, text[])', 'path_schemas(text, name)', 'object_key(text, text, text)',
                       'find_schema(text, text, text[])', 'rests_on(oid, oid, boolean)']),
        ('steer', ARRAY['steer(text, jsonb)', 'steer_one(text, bigint)', 'cancel(bigint)', 'pause(bigint)', 'resume(bigint)',
                        'retry(bigint)', 'alter_job(bigint, jsonb)', 'restore_statements(bigint)',
                        'purge_trash(bigint[], integer)', 'remove_node(bigint)']),
        ('submit', ARRAY['submit(text, jsonb)', 'submit_options(jsonb)', 'enqueue(jsonb, jsonb)']),
        ('operate', ARRAY['set(text, text)', 'upgrade(boolean)']),
        ('node', ARRAY['register_node(text, interval, boolean)', 'heartbeat_node(bigint)', 'sync_node(bigint, bigint, boolean)',
                       'acknowledge(bigint, bigint[], bigint[])', 'remove_node(bigint)', 'schema_version()',
                       'changes_since(bigint)', 'pin(regclass)', 'has_nodes()', 'columns_of(text)', 'acting_role()',
                       'setting(text)'])) AS r(name, functions), unnest(r.functions) AS f
     WHERE r.name = wanted OR r.name = 'read' AND wanted IN ('submit', 'operate')
        OR r.name = 'steer' AND wanted IN ('submit', 'operate')
    UNION
    SELECT p.oid::regprocedure FROM pg_proc AS p
     WHERE wanted = 'work' AND p.pronamespace = 'lockkeeper'::regnamespace
       AND p.proname NOT IN ('grant_right', 'renew_rights', 'make_roles', 'grant_use')
$$;

-- Gives a role one of the rights read, submit, node, operate, work. For the owner of the queue.
CREATE FUNCTION lockkeeper.grant_right(wanted text, to_role name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    f regprocedure;
BEGIN
    IF wanted NOT IN ('read', 'submit', 'node', 'operate', 'work') THEN
        RAISE EXCEPTION 'there is no right %', quote_literal(wanted)
            USING ERRCODE = 'undefined_object', HINT = 'read, submit, node, operate, work';
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA lockkeeper TO %I', to_role);
    EXECUTE format('GRANT SELECT ON lockkeeper.ddl_migration TO %I', to_role);
    IF wanted IN ('read', 'submit', 'operate') THEN
        EXECUTE format('GRANT SELECT ON lockkeeper.jobs, lockkeeper.history, lockkeeper.statistics, '
                       'lockkeeper.ddl_setting TO %I', to_role);
    END IF;
    IF wanted = 'operate' THEN EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA lockkeeper TO %I', to_role); END IF;
    IF wanted = 'work' THEN
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA lockkeeper TO %I', to_role);
        EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA lockkeeper TO %I', to_role);
        -- The trash: each table that was dropped is kept in a schema of its own.
        EXECUTE format('GRANT CREATE ON DATABASE %I TO %I', current_database(), to_role);
    END IF;
    FOR f IN SELECT lockkeeper.functions_of(wanted) LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', f, to_role);
    END LOOP;
END $$;

-- After a migration: who has a right has it for what is new, too.
CREATE FUNCTION lockkeeper.renew_rights() RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT lockkeeper.grant_right(m.wanted, g.rolname)
      FROM (VALUES ('read', 'lockkeeper.may_read(name)'), ('submit', 'lockkeeper.enqueue(jsonb, jsonb)'),
                   ('node', 'lockkeeper.register_node(text, interval, boolean)'), ('operate', 'lockkeeper.upgrade(boolean)'),
                   ('work', 'lockkeeper.claim(integer, text, bigint, text, integer)')) AS m(wanted, mark)
      JOIN pg_proc AS p ON p.oid = m.mark::regprocedure
     CROSS JOIN LATERAL aclexplode(p.proacl) AS a
      JOIN pg_roles AS g ON g.oid = a.grantee
     WHERE a.grantee <> p.proowner ORDER BY m.wanted, g.rolname
$$;

-- As migrate --grant has always had it: submit, and be a node.
CREATE OR REPLACE FUNCTION lockkeeper.grant_use(to_role name) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT lockkeeper.grant_right('submit', to_role);
    SELECT lockkeeper.grant_right('node', to_role)
$$;
DROP FUNCTION lockkeeper.grant_use_before_trash(name);

-- Makes roles prefix_read, prefix_submit, … that nobody can log in as, where they are missing, and gives each its right.
-- Roles belong to the whole server: databases that are to have other people choose other prefixes. Gives their names.
CREATE FUNCTION lockkeeper.make_roles(prefix text) RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted text;
    role_name text;
BEGIN
    IF coalesce(prefix, '') = '' OR length(prefix) > 50 THEN
        RAISE EXCEPTION 'a prefix of roles has 1 to 50 characters' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOREACH wanted IN ARRAY '{read,submit,node,operate,work}'::text[] LOOP
        role_name := prefix || '_' || wanted;
        IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = role_name) THEN
            IF NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = current_user AND (r.rolcreaterole OR r.rolsuper)) THEN
                RAISE EXCEPTION 'there is no role %, and % may not make roles', quote_ident(role_name), quote_ident(current_user)
                    USING ERRCODE = 'insufficient_privilege',
                          HINT = (SELECT 'whoever may make roles runs first: '
                                         || string_agg(format('CREATE ROLE %I NOLOGIN;', prefix || '_' || w), ' ')
                                    FROM unnest('{read,submit,node,operate,work}'::text[]) AS w);
            END IF;
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
        PERFORM lockkeeper.grant_right(wanted, role_name);
        RETURN NEXT role_name;
    END LOOP;
END $$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT p.oid FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = 'lockkeeper'::regnamespace
               AND p.proname IN ('begin_backfill', 'purge_trash', 'held_by_queue', 'submit_options', 'drop_from_trash', 'purge_due', 'purge_in_the_way', 'functions_of', 'grant_right', 'renew_rights', 'make_roles') LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
