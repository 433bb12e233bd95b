-- Nodes, their acknowledgements, metadata locks, the end in two phases.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (11, 'nodes');

-- A job whose work is done stays until every node has its version: state 'done', without a claim.
ALTER TABLE lockkeeper.ddl_job
    ADD COLUMN done_steps jsonb,
    ADD COLUMN done_version bigint,
    DROP CONSTRAINT only_live_states,
    ADD CONSTRAINT only_live_states CHECK (state NOT IN ('cancelled', 'synced', 'rollback done'));
CREATE INDEX ddl_job_done ON lockkeeper.ddl_job (id) WHERE state = 'done';

-- Each object that a version changed: {"old": "relation:app.a", "old_oid": 17, "new": …, "new_oid": …}; what was
-- made has no old, what was dropped no new.
ALTER TABLE lockkeeper.ddl_schema_diff ADD COLUMN affected jsonb NOT NULL DEFAULT '[]';
CREATE INDEX ddl_schema_diff_made_at ON lockkeeper.ddl_schema_diff (made_at);

-- Processes of the application that cache the schema. A row is a node that lives: whoever waits for nodes deletes
-- those that do not (bury_nodes), and a node whose row is gone is fenced.
CREATE SEQUENCE lockkeeper.ddl_node_id_seq MAXVALUE 2147483647 CYCLE;
CREATE TABLE lockkeeper.ddl_node (
    id            bigint PRIMARY KEY DEFAULT nextval('lockkeeper.ddl_node_id_seq'),
    name          text NOT NULL,
    role          name NOT NULL,
    bound         boolean NOT NULL,          -- lives no longer than the session that holds its advisory lock
    pid           integer NOT NULL,          -- backend of that session
    lease         interval NOT NULL,
    lease_until   timestamptz NOT NULL,      -- server time
    gone_since    timestamptz,               -- bound: its session was found to be gone
    version       bigint NOT NULL DEFAULT -1, -- it has loaded all up to this one; -1: it is still loading
    first_version bigint NOT NULL DEFAULT -1, -- it never knew an older one
    registered_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- "This node, and all its transactions, have left what was before this version of this job." Without foreign keys:
-- who acknowledges must not wait for who buries or settles. What is left over is swept.
CREATE TABLE lockkeeper.ddl_node_ack (
    job_id  bigint NOT NULL,
    node_id bigint NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (job_id, node_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- A job's version that not everybody has left the one before of. Written in the transaction of the step, taken away
-- when the wait is over: so a wait outlives its worker.
CREATE TABLE lockkeeper.ddl_mdl_info (
    job_id       bigint PRIMARY KEY,
    version      bigint NOT NULL,
    mode         text NOT NULL CHECK (mode IN ('on', 'nodes', 'off')),
    final        boolean NOT NULL,           -- the job is done: nodes only
    objects      text[] NOT NULL,
    relations    oid[] NOT NULL,
    since        timestamptz NOT NULL DEFAULT clock_timestamp(),
    transactions text[],                     -- those that held locks right after the commit; NULL: not looked yet
    looked_on    timestamptz                 -- start of the server that they ran on
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Errors for nodes: LK010, the node is fenced; LK011, its version is older than what is remembered.

-- As in 0010, and how a job waits for nodes and transactions.
CREATE OR REPLACE FUNCTION lockkeeper.is_tuning(name text, value text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN name IN ('lockkeeper.threads', 'lockkeeper.batch_ms') THEN value ~ '^[1-9][0-9]{0,8}$'
                WHEN name IN ('lockkeeper.rows_per_second', 'lockkeeper.mdl_timeout', 'lockkeeper.kill_blockers')
                    THEN value ~ '^[0-9]{1,9}$'
                WHEN name = 'lockkeeper.mdl' THEN value IN ('on', 'nodes', 'off')
                WHEN name = 'lockkeeper.mdl_on_timeout' THEN value IN ('wait', 'pause', 'cancel')
                ELSE name = 'lockkeeper.postpone_cutover' AND value IN ('on', 'off') END
$$;

-- A setting of the queue, with the default when there is none.
CREATE OR REPLACE FUNCTION lockkeeper.setting(wanted text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT value FROM lockkeeper.ddl_setting WHERE name = wanted),
                    CASE wanted WHEN 'queue' THEN 'running' WHEN 'history_days' THEN '0'
                                WHEN 'history_rows' THEN '0' WHEN 'mdl' THEN 'on' WHEN 'mdl_timeout' THEN '0'
                                WHEN 'mdl_on_timeout' THEN 'wait' WHEN 'kill_blockers' THEN '0'
                                WHEN 'node_grace_ms' THEN '1000' WHEN 'node_lease_most' THEN '3600'
                                WHEN 'diff_hours' THEN '168' END)
$$;

-- Changes a setting while everything runs; NULL: back to the default. Only for the owner.
--   queue            running | paused (nothing new starts; what runs goes on)
--   general_workers  worker threads of each process for quick changes (1 to 256)
--   reorg_workers    worker threads of each process for changes that read or write rows (1 to 256)
--   history_days     ended jobs older than so many days are deleted; 0: none are
--   history_rows     so many ended jobs are kept at most; 0: all
--   mdl              between steps: on, wait for nodes and older transactions | nodes | off, two leases at most
--   mdl_timeout      seconds of such a wait until mdl_on_timeout; 0: none
--   mdl_on_timeout   wait (go on) | pause | cancel the job
--   kill_blockers    seconds until a transaction in the way is ended; 0: never
--   node_grace_ms    so long may a node be without its connection
--   node_lease_most  seconds of the longest lease that a node may have
--   diff_hours       what versions changed is kept so long (at least 1)
CREATE OR REPLACE FUNCTION lockkeeper.set(setting_name text, setting_value text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    least integer := CASE WHEN setting_name LIKE '%\_workers' OR setting_name IN ('diff_hours', 'node_lease_most') THEN 1 ELSE 0 END;
    most integer := CASE WHEN setting_name LIKE '%\_workers' THEN 256 WHEN setting_name = 'history_days' THEN 36500
                         ELSE 999999999 END;
    words text[] := CASE setting_name WHEN 'queue' THEN '{running,paused}'::text[] WHEN 'mdl' THEN '{on,nodes,off}'
                                      WHEN 'mdl_on_timeout' THEN '{wait,pause,cancel}' END;
BEGIN
    IF lockkeeper.setting(setting_name) IS NULL AND setting_name NOT IN ('general_workers', 'reorg_workers') THEN
        RAISE EXCEPTION 'there is no setting %', quote_literal(setting_name)
            USING ERRCODE = 'undefined_object',
                  HINT = 'queue, general_workers, reorg_workers, history_days, history_rows, mdl, mdl_timeout, '
                         'mdl_on_timeout, kill_blockers, node_grace_ms, node_lease_most, diff_hours';
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

-- How a job waits: what was said for it, else the setting of the queue.
CREATE FUNCTION lockkeeper.mdl_setting(settings jsonb, name text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN lockkeeper.is_tuning('lockkeeper.' || name, settings->>('lockkeeper.' || name))
                THEN settings->>('lockkeeper.' || name) ELSE lockkeeper.setting(name) END
$$;

-- The relation of a footprint's object; NULL: it is none, or is not there.
CREATE FUNCTION lockkeeper.relation_of(object text) RETURNS oid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN object LIKE 'relation:%' THEN to_regclass(substr(object, 10))::oid END
$$;

-- Relations among objects of a footprint, by their names: old names are those of `before`, what was there when the
-- job's transaction began (remember_objects); without it, all of them were there but what `made` tells.
CREATE FUNCTION lockkeeper.affected_by(objects text[], before jsonb, made text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    object text;
    id bigint;
    affected jsonb := '[]';
BEGIN
    IF before IS NULL THEN
        -- The way of most jobs, in the transaction that all others wait for: without a query.
        FOREACH object IN ARRAY objects LOOP
            IF object NOT LIKE 'relation:%' THEN
                affected := affected || jsonb_build_object('old', object, 'new', object);
                CONTINUE;
            END IF;
            id := to_regclass(substr(object, 10))::oid::bigint;
            IF id IS NULL THEN
                CONTINUE WHEN made NOT LIKE 'drop %';
                affected := affected || jsonb_build_object('old', object);
            ELSIF made LIKE 'create %' OR made = 'add index'
                  AND EXISTS (SELECT FROM pg_class AS c WHERE c.oid = id AND c.relkind IN ('i', 'I')) THEN
                affected := affected || jsonb_build_object('new', object, 'new_oid', id);
            ELSE
                affected := affected || jsonb_build_object('old', object, 'old_oid', id, 'new', object, 'new_oid', id);
            END IF;
        END LOOP;
        RETURN affected;
    END IF;
    RETURN (
    WITH present AS (
        SELECT o.object, lockkeeper.relation_of(o.object) AS oid FROM unnest(objects) AS o(object)),
    past AS (SELECT b.key AS object, b.value::oid AS oid FROM jsonb_each_text(before) AS b)
    SELECT coalesce(jsonb_agg(jsonb_strip_nulls(a.one) ORDER BY a.one->>'new', a.one->>'old'), '[]') FROM (
        SELECT CASE WHEN p.oid IS NOT NULL THEN jsonb_build_object('new', p.object, 'new_oid', p.oid::bigint,
                             'old', b.object, 'old_oid', b.oid::bigint)
                    ELSE jsonb_build_object('old', p.object, 'new', p.object) END AS one
          FROM present AS p
          -- The same object under an old name, else what had this name.
          LEFT JOIN LATERAL (SELECT q.object, q.oid FROM past AS q
                              WHERE q.oid = p.oid
                                 OR q.object = p.object AND NOT EXISTS (SELECT FROM present AS x WHERE x.oid = q.oid)
                              ORDER BY q.oid = p.oid DESC LIMIT 1) AS b ON true
         WHERE p.object NOT LIKE 'relation:%' OR p.oid IS NOT NULL
        UNION ALL
        SELECT jsonb_build_object('old', b.object, 'old_oid', b.oid::bigint) FROM past AS b
         WHERE NOT EXISTS (SELECT FROM present AS p WHERE p.oid = b.oid OR p.object = b.object AND p.oid IS NOT NULL))
           AS a);
END $$;

-- Before a job that may rename or drop: which relations have the names of its footprint now. For its transaction.
CREATE FUNCTION lockkeeper.remember_objects(the_job bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT set_config('lockkeeper.before', coalesce(jsonb_object_agg(f.object, c.oid::text)
                          FILTER (WHERE c.oid IS NOT NULL), '{}')::text, true)
      FROM lockkeeper.ddl_job_footprint AS f JOIN pg_class AS c ON c.oid = lockkeeper.relation_of(f.object)
     WHERE f.job_id = the_job AND f.exclusive AND f.object LIKE 'relation:%'
$$;
-- Without settings, so that it is inlined.
CREATE FUNCTION lockkeeper.remembered() RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT nullif(pg_catalog.current_setting('lockkeeper.before', true), '')::pg_catalog.jsonb
$$;

-- What a live job changes: its exclusive objects.
CREATE FUNCTION lockkeeper.changed_objects(the_job bigint) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(f.object ORDER BY f.object), '{}') FROM lockkeeper.ddl_job_footprint AS f
     WHERE f.job_id = the_job AND f.exclusive AND f.object NOT LIKE 'batch:%'
$$;

-- In the transaction of a step, after its version was drawn: the wait that follows it, and the word to the nodes.
CREATE FUNCTION lockkeeper.begin_wait(job lockkeeper.ddl_job, made_version bigint, touched text[], is_final boolean)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    how text := lockkeeper.mdl_setting(job.settings, 'mdl');
    nodes boolean := EXISTS (SELECT FROM lockkeeper.ddl_node);
BEGIN
    IF nodes THEN
        PERFORM pg_notify('lockkeeper_version', made_version::text);
        -- What a node has seen must not be undone by a crash of the server.
        SET LOCAL synchronous_commit TO DEFAULT;
    END IF;
    IF NOT nodes AND (is_final OR how <> 'on') THEN
        DELETE FROM lockkeeper.ddl_mdl_info WHERE job_id = job.id;
        RETURN;
    END IF;
    INSERT INTO lockkeeper.ddl_mdl_info AS m (job_id, version, mode, final, objects, relations)
    -- Partitions too, by pg_inherits: pg_partition_tree would lock them.
    WITH RECURSIVE tree(id) AS (
        SELECT lockkeeper.relation_of(t.object) FROM unnest(touched) AS t(object)
        UNION SELECT i.inhrelid FROM tree AS p JOIN pg_inherits AS i ON i.inhparent = p.id)
    SELECT job.id, made_version, how, is_final, touched, coalesce(array_agg(t.id) FILTER (WHERE t.id IS NOT NULL), '{}')
      FROM tree AS t
    -- A step is taken back while its own version was waited for.
    ON CONFLICT (job_id) DO UPDATE SET version = excluded.version, mode = excluded.mode, final = excluded.final,
           objects = excluded.objects, relations = excluded.relations || m.relations, since = clock_timestamp(),
           transactions = NULL, looked_on = NULL;
END $$;

-- As in 0009. A step that changes the schema has a version, a diff and a wait, in its own transaction (promise 4).
CREATE OR REPLACE FUNCTION lockkeeper.make_version(job lockkeeper.ddl_job, state_after lockkeeper.schema_state)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    touched text[] := lockkeeper.changed_objects(job.id);
    changes jsonb := lockkeeper.affected_by(touched, lockkeeper.remembered(), job.action);
    made bigint;
BEGIN
    UPDATE lockkeeper.ddl_schema_version AS v SET version = v.version + 1 RETURNING v.version INTO made;
    INSERT INTO lockkeeper.ddl_schema_diff (version, job_id, action, state_from, state_to, objects, affected)
    VALUES (made, job.id, job.action, job.schema_state, state_after, touched, changes);
    PERFORM lockkeeper.begin_wait(job, made, touched, false);
END $$;

-- Is a bound node's session there?
CREATE FUNCTION lockkeeper.is_connected(node lockkeeper.ddl_node) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM pg_locks AS k  -- 1280011887 = 'LKno'
                    WHERE k.locktype = 'advisory' AND k.classid = 1280011887 AND k.objsubid = 2
                      AND k.objid = node.id AND k.granted AND k.pid = node.pid
                      AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
$$;

-- Deletes nodes that do not live any more: the lease is over, or the connection is gone and did not come back within
-- the grace. From then on they are fenced: a node that says it lives holds its row's lock, so it was there first or
-- it is too late.
CREATE FUNCTION lockkeeper.bury_nodes() RETURNS TABLE (id bigint, name text, why text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    grace interval := lockkeeper.setting('node_grace_ms')::integer * interval '1 millisecond';
BEGIN
    -- pg_locks is read once, whatever the number of nodes. Rows that an open transaction of a node holds are left
    -- alone: their leases go by what is committed.
    WITH held AS MATERIALIZED (
        SELECT k.objid::bigint AS node, k.pid FROM pg_locks AS k
         WHERE k.locktype = 'advisory' AND k.classid = 1280011887 AND k.objsubid = 2 AND k.granted
           AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())),
    changed AS (
        SELECT n.id, EXISTS (SELECT FROM held AS h WHERE h.node = n.id AND h.pid = n.pid) AS there
          FROM lockkeeper.ddl_node AS n
         WHERE n.bound AND (n.gone_since IS NULL)
               <> EXISTS (SELECT FROM held AS h WHERE h.node = n.id AND h.pid = n.pid)
           FOR UPDATE OF n SKIP LOCKED)
    UPDATE lockkeeper.ddl_node AS n SET gone_since = CASE WHEN c.there THEN NULL ELSE clock_timestamp() END
      FROM changed AS c WHERE c.id = n.id;
    RETURN QUERY DELETE FROM lockkeeper.ddl_node AS n
     WHERE n.id IN (SELECT d.id FROM lockkeeper.ddl_node AS d
                     WHERE d.lease_until < clock_timestamp() OR d.gone_since < clock_timestamp() - grace
                       FOR UPDATE SKIP LOCKED)
       -- It may have come back after held was read.
       AND (n.lease_until < clock_timestamp() OR NOT lockkeeper.is_connected(n))
    RETURNING n.id, n.name, CASE WHEN n.lease_until < clock_timestamp() THEN 'its lease is over'
                                 ELSE 'its connection is gone' END;
END $$;

-- Transactions that still hold what they held right after the step, of anybody but workers and autovacuum.
CREATE FUNCTION lockkeeper.holders_of(info lockkeeper.ddl_mdl_info)
RETURNS TABLE (transaction text, pid integer, relation regclass, mode text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT ON (l.virtualtransaction) l.virtualtransaction, l.pid, l.relation::regclass, l.mode
      FROM pg_locks AS l
     WHERE l.locktype = 'relation' AND l.granted
       AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
       AND l.relation = ANY (info.relations)
       AND (info.transactions IS NULL OR l.virtualtransaction = ANY (info.transactions)
            -- After a restart of the server only prepared transactions are what they were.
            AND (info.looked_on = pg_postmaster_start_time() OR l.pid IS NULL))
       AND NOT EXISTS (SELECT FROM pg_stat_activity AS a
                         LEFT JOIN lockkeeper.ddl_session AS s ON s.pid = a.pid AND s.started = a.backend_start
                        WHERE a.pid = l.pid AND (a.backend_type = 'autovacuum worker' OR s.pid IS NOT NULL))
     ORDER BY l.virtualtransaction, l.pid
$$;

-- Who holds up which job: nodes that have not acknowledged its version, and transactions that are older than it.
-- Locks nothing. The idea: TiDB's mysql.tidb_mdl_view, and with nodes.
CREATE VIEW lockkeeper.ddl_mdl_view AS
WITH waiting AS (SELECT m AS info, m.job_id, m.version, m.mode, m.final, m.since, j.action, j.state::text AS state,
                        j.schema_state::text AS schema_state,
                        (SELECT max(s.seq) FROM lockkeeper.ddl_step AS s WHERE s.job_id = m.job_id AND s.state = 'done') AS step
                   FROM lockkeeper.ddl_mdl_info AS m JOIN lockkeeper.ddl_job AS j ON j.id = m.job_id)
SELECT w.job_id, w.action, w.state, w.schema_state, w.step, w.version, w.since, 'node' AS blocker, n.id AS node_id,
       n.name, n.version AS node_version, n.lease_until, NULL::integer AS pid, n.role, NULL::text AS application,
       NULL::text AS transaction_state, NULL::interval AS transaction_age, NULL::text AS query, NULL::text AS relation,
       NULL::text AS transaction
  FROM waiting AS w
  JOIN lockkeeper.ddl_node AS n ON n.first_version < w.version AND n.lease_until >= pg_catalog.clock_timestamp()
 WHERE CASE WHEN w.mode = 'off' THEN n.version < w.version AND pg_catalog.clock_timestamp() < w.since + 2 * n.lease
            ELSE NOT EXISTS (SELECT FROM lockkeeper.ddl_node_ack AS a
                              WHERE a.job_id = w.job_id AND a.node_id = n.id AND a.version >= w.version) END
UNION ALL
SELECT w.job_id, w.action, w.state, w.schema_state, w.step, w.version, w.since, 'transaction', NULL, p.gid, NULL, NULL,
       h.pid, coalesce(a.usename, p.owner), a.application_name, coalesce(a.state, CASE WHEN h.pid IS NULL THEN 'prepared' END),
       pg_catalog.clock_timestamp() - coalesce(a.xact_start, p.prepared), a.query, h.relation::text, h.transaction
  FROM waiting AS w
 CROSS JOIN LATERAL lockkeeper.holders_of(w.info) AS h
  LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = h.pid
  LEFT JOIN pg_catalog.pg_locks AS x ON h.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
        AND x.virtualtransaction = h.transaction
  LEFT JOIN pg_catalog.pg_prepared_xacts AS p ON p.transaction = x.transactionid
 WHERE w.mode = 'on' AND NOT w.final;
GRANT SELECT ON lockkeeper.ddl_mdl_view TO PUBLIC;

-- Is the wait of a job over? Then its row is gone. For who has the claim of the job. The first call after the step's
-- commit looks which transactions there are; what begins later uses the new version already.
CREATE FUNCTION lockkeeper.is_synced(the_job bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    info lockkeeper.ddl_mdl_info;
    nodes boolean := EXISTS (SELECT FROM lockkeeper.ddl_node);
    looks boolean;
BEGIN
    SELECT * INTO info FROM lockkeeper.ddl_mdl_info WHERE job_id = the_job FOR UPDATE;
    IF NOT FOUND THEN RETURN true; END IF;
    looks := info.transactions IS NULL AND info.mode = 'on' AND NOT info.final;
    IF looks THEN
        -- Prepared ones are called by their number after a restart of the server.
        info.transactions := ARRAY(
            SELECT h.transaction FROM lockkeeper.holders_of(info) AS h UNION ALL
            SELECT '-1/' || x.transactionid FROM lockkeeper.holders_of(info) AS h
              JOIN pg_locks AS x ON x.locktype = 'transactionid' AND x.virtualtransaction = h.transaction AND x.granted);
    END IF;
    IF nodes OR info.transactions <> '{}' THEN
        IF looks THEN
            UPDATE lockkeeper.ddl_mdl_info SET looked_on = pg_postmaster_start_time(),
                   transactions = info.transactions WHERE job_id = the_job;
        END IF;
        -- Who is quick to answer is not asked whether it lives.
        IF nodes AND info.since < clock_timestamp() - interval '50 ms' THEN PERFORM lockkeeper.bury_nodes(); END IF;
        IF EXISTS (SELECT FROM lockkeeper.ddl_mdl_view AS v WHERE v.job_id = the_job) THEN RETURN false; END IF;
    END IF;
    DELETE FROM lockkeeper.ddl_mdl_info WHERE job_id = the_job;
    DELETE FROM lockkeeper.ddl_node_ack WHERE job_id = the_job;
    RETURN true;
END $$;

-- Registers the caller as a node; gives its id. It lives as long as it says so within each lease (server time) and, if
-- `bound`, as long as this session. In this order: LISTEN lockkeeper_version; this, and COMMIT; schema_version();
-- load the schema; sync_node with that version. Whoever ends a job either sees the node, or has committed before
-- schema_version() answers. Until its first sync_node a node holds up everybody.
CREATE FUNCTION lockkeeper.register_node(node_name text, lease interval DEFAULT '45 s', bound boolean DEFAULT true)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    acting name := lockkeeper.acting_role();
    node bigint;
BEGIN
    IF coalesce(node_name, '') = '' OR length(node_name) > 200 OR node_name ~ '[[:cntrl:]]' OR bound IS NULL THEN
        RAISE EXCEPTION 'a node has a name of 1 to 200 characters, none of them a control character'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF lease IS NULL OR lease NOT BETWEEN interval '1 s'
                                      AND lockkeeper.setting('node_lease_most')::integer * interval '1 s' THEN
        RAISE EXCEPTION 'the lease of a node is 1 s to % s', lockkeeper.setting('node_lease_most')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'the owner may change it: lockkeeper set node_lease_most';
    END IF;
    LOOP
        node := nextval('lockkeeper.ddl_node_id_seq');
        -- Somebody may sit on the lock of a future id.
        EXIT WHEN NOT bound OR pg_try_advisory_lock(1280011887, node::integer);
    END LOOP;
    INSERT INTO lockkeeper.ddl_node (id, name, role, bound, pid, lease, lease_until)
    VALUES (node, node_name, acting, bound, pg_backend_pid(), lease, clock_timestamp() + lease);
    -- Workers keep in mind whether there are nodes.
    PERFORM pg_notify('lockkeeper_ack', '');
    RETURN node;
END $$;

CREATE FUNCTION lockkeeper.fenced(node bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'node % is fenced: its lease was over, or its connection was gone for too long', node
        USING ERRCODE = 'LK010', HINT = 'trust nothing that was read before; register again, and load the schema anew';
END $$;

-- The node lives: for one lease more, from now on in this session. Gives the version of the database, so that a node
-- that missed a notification learns of it. LK010: it is fenced.
CREATE FUNCTION lockkeeper.heartbeat_node(node bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    acting name := lockkeeper.acting_role();
    grace interval := lockkeeper.setting('node_grace_ms')::integer * interval '1 millisecond';
    mine lockkeeper.ddl_node;
BEGIN
    SELECT * INTO mine FROM lockkeeper.ddl_node AS n WHERE n.id = node AND n.role = acting FOR UPDATE;
    IF NOT FOUND OR mine.lease_until < clock_timestamp() OR mine.gone_since < clock_timestamp() - grace THEN
        PERFORM lockkeeper.fenced(node);
    END IF;
    IF mine.bound AND NOT (mine.pid = pg_backend_pid() AND lockkeeper.is_connected(mine)) THEN
        -- Its old session may not be gone yet; nobody else has the right to the row.
        IF NOT pg_try_advisory_lock(1280011887, node::integer) THEN
            RAISE EXCEPTION 'the session of node % is still there', node
                USING ERRCODE = 'lock_not_available', HINT = 'try again';
        END IF;
    END IF;
    UPDATE lockkeeper.ddl_node AS n SET lease_until = clock_timestamp() + n.lease, gone_since = NULL,
           pid = pg_backend_pid() WHERE n.id = node;
    RETURN (SELECT v.version FROM lockkeeper.ddl_schema_version AS v);
END $$;

-- The node has loaded all up to `loaded`. Gives the waits of jobs that it may acknowledge now, unless a transaction
-- of its own still uses an older version of one of the objects; is_free: none does, they are acknowledged at once.
-- LK010: it is fenced.
CREATE FUNCTION lockkeeper.sync_node(node bigint, loaded bigint, is_free boolean DEFAULT false)
RETURNS TABLE (job_id bigint, version bigint, objects text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    acting name := lockkeeper.acting_role();
    known_from bigint;
BEGIN
    IF node IS NULL OR loaded IS NULL OR loaded NOT BETWEEN 0 AND (SELECT v.version FROM lockkeeper.ddl_schema_version AS v) THEN
        RAISE EXCEPTION 'the version that a node has loaded is between 0 and that of the database'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE lockkeeper.ddl_node AS n SET version = greatest(n.version, loaded),
           first_version = CASE WHEN n.version = -1 THEN loaded ELSE n.first_version END
     WHERE n.id = node AND n.role = acting AND n.lease_until >= clock_timestamp()
    RETURNING n.first_version INTO known_from;
    IF NOT FOUND THEN PERFORM lockkeeper.fenced(node); END IF;
    IF EXISTS (SELECT FROM lockkeeper.ddl_mdl_info AS m WHERE m.mode = 'off' AND m.version <= loaded) THEN
        PERFORM pg_notify('lockkeeper_ack', '');
    END IF;
    RETURN QUERY
    SELECT m.job_id, m.version, m.objects FROM lockkeeper.ddl_mdl_info AS m
     WHERE m.version <= loaded AND m.version > known_from AND m.mode <> 'off'
       AND NOT EXISTS (SELECT FROM lockkeeper.ddl_node_ack AS a
                        WHERE a.job_id = m.job_id AND a.node_id = node AND a.version >= m.version)
     ORDER BY m.version LIMIT CASE WHEN is_free THEN 0 END;
    IF is_free THEN
        PERFORM lockkeeper.acknowledge(node, array_agg(m.job_id), array_agg(m.version))
           FROM lockkeeper.ddl_mdl_info AS m
          WHERE m.version <= loaded AND m.version > known_from AND m.mode <> 'off' HAVING count(*) > 0;
    END IF;
    -- It knew nothing older: who waited for it to load need not wait any more.
    IF known_from = loaded AND EXISTS (SELECT FROM lockkeeper.ddl_mdl_info) THEN
        PERFORM pg_notify('lockkeeper_ack', '');
    END IF;
END $$;

-- The node and all its transactions have left what was before these versions of these jobs. LK010: it is fenced.
CREATE FUNCTION lockkeeper.acknowledge(node bigint, jobs bigint[], versions bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    acting name := lockkeeper.acting_role();
    moved bigint[];
BEGIN
    PERFORM FROM lockkeeper.ddl_node AS n
      WHERE n.id = node AND n.role = acting AND n.lease_until >= clock_timestamp() FOR KEY SHARE;
    IF NOT FOUND THEN PERFORM lockkeeper.fenced(node); END IF;
    INSERT INTO lockkeeper.ddl_node_ack AS a (job_id, node_id, version)
    SELECT m.job_id, node, least(max(t.version), max(m.version)) FROM unnest(jobs, versions) AS t(job_id, version)
      JOIN lockkeeper.ddl_mdl_info AS m ON m.job_id = t.job_id GROUP BY m.job_id ORDER BY m.job_id
    ON CONFLICT (job_id, node_id) DO UPDATE SET version = greatest(a.version, excluded.version);
    -- Of several last ones each says it, because none sees the others' rows. Only they: a notification wakes every
    -- session of the database that listens to anything.
    moved := ARRAY(SELECT m.job_id FROM lockkeeper.ddl_mdl_info AS m
                    WHERE m.job_id = ANY (jobs)
                      AND (SELECT count(*) FROM lockkeeper.ddl_node AS n WHERE n.first_version < m.version)
                        - (SELECT count(*) FROM lockkeeper.ddl_node_ack AS a
                            WHERE a.job_id = m.job_id AND a.version >= m.version) < 3);
    IF moved = '{}' THEN RETURN; END IF;
    PERFORM pg_notify('lockkeeper_ack', '');
END $$;

-- The node says goodbye, or the owner of the queue fences it: nobody waits for it any more. Gives whether it was known.
CREATE FUNCTION lockkeeper.remove_node(node bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    acting name := lockkeeper.acting_role();
BEGIN
    DELETE FROM lockkeeper.ddl_node AS n WHERE n.id = node AND lockkeeper.may_steer(acting, n.role);
    IF NOT FOUND THEN RETURN false; END IF;
    PERFORM pg_advisory_unlock(1280011887, node::integer) FROM pg_locks AS k
      WHERE k.locktype = 'advisory' AND k.classid = 1280011887 AND k.objid = node AND k.objsubid = 2
        AND k.pid = pg_backend_pid();
    PERFORM pg_notify('lockkeeper_ack', '');
    RETURN true;
END $$;

-- The version of the database: all that it contains is committed and visible to the next statement. It waits for a
-- step that is being committed, and lets go of the row at once: a caller's open transaction must stop nobody.
CREATE FUNCTION lockkeeper.schema_version() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known bigint;
BEGIN
    PERFORM lockkeeper.need_read_committed();
    BEGIN
        SELECT v.version INTO known FROM lockkeeper.ddl_schema_version AS v FOR SHARE;
        RAISE EXCEPTION USING ERRCODE = 'LK012';
    EXCEPTION WHEN SQLSTATE 'LK012' THEN
        RETURN known;
    END;
END $$;

CREATE FUNCTION lockkeeper.need_no_gap(since bigint, next bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF next <> since + 1 THEN
        RAISE EXCEPTION 'what came right after version % is not remembered any more', since
            USING ERRCODE = 'LK011', HINT = 'load the whole schema';
    END IF;
END $$;

-- What changed after version `since`, in order, without a gap. LK011: it is too long ago, load everything.
CREATE FUNCTION lockkeeper.changes_since(since bigint)
RETURNS TABLE (version bigint, job_id bigint, action text, state_from text, state_to text, objects text[], affected jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
BEGIN
    FOR version, job_id, action, state_from, state_to, objects, affected IN
        SELECT d.version, d.job_id, d.action, d.state_from::text, d.state_to::text, d.objects, d.affected
          FROM lockkeeper.ddl_schema_diff AS d WHERE d.version > since ORDER BY d.version LOOP
        PERFORM lockkeeper.need_no_gap(since, version);
        since := version;
        RETURN NEXT;
    END LOOP;
    PERFORM lockkeeper.need_no_gap(since, v.version + 1) FROM lockkeeper.ddl_schema_version AS v
      WHERE v.version > since AND NOT EXISTS (SELECT FROM lockkeeper.ddl_schema_diff AS d WHERE d.version > since);
END $$;

-- For use in a transaction: as long as it is open, no job takes this table further than one version. It holds the
-- weakest lock there is, which stops nobody's reads and writes.
CREATE FUNCTION lockkeeper.pin(relation regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF relation IS NULL THEN
        RAISE EXCEPTION 'which table is to be pinned?' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', relation::text);
END $$;

-- Deletes what is not kept of versions; gives how many diffs went.
CREATE FUNCTION lockkeeper.purge_diffs(most integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    purged integer;
BEGIN
    DELETE FROM lockkeeper.ddl_mdl_info AS m
     WHERE NOT EXISTS (SELECT FROM lockkeeper.ddl_job AS j WHERE j.id = m.job_id);
    DELETE FROM lockkeeper.ddl_node_ack AS a
     WHERE NOT EXISTS (SELECT FROM lockkeeper.ddl_mdl_info AS m WHERE m.job_id = a.job_id);
    WITH old AS (SELECT d.version FROM lockkeeper.ddl_schema_diff AS d
                  WHERE d.made_at < clock_timestamp() - lockkeeper.setting('diff_hours')::integer * interval '1 hour'
                  ORDER BY d.version LIMIT most FOR UPDATE SKIP LOCKED),
    gone AS (DELETE FROM lockkeeper.ddl_schema_diff AS d USING old WHERE d.version = old.version RETURNING d.version)
    SELECT count(*) INTO purged FROM gone;
    RETURN purged;
END $$;
