-- What must cost the same however long a snapshot is held and a batch is: the version of the schema, and a claim of more.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name, breaking) VALUES (16, 'flat', false);

-- While somebody holds a snapshot, no earlier version of the one row can be vacuumed. Found by the others' place in an index, the
-- last one is found at once, however many there were before it. The order of versions is kept by a lock of its own, because whoever
-- waits for the row would look for the version of then.
ALTER TABLE lockkeeper.ddl_schema_version DROP CONSTRAINT ddl_schema_version_pkey, ADD PRIMARY KEY (version);
ALTER TABLE lockkeeper.ddl_schema_version RESET (fillfactor);
ALTER TABLE lockkeeper.ddl_schema_version SET (autovacuum_vacuum_cost_delay = 0);

CREATE FUNCTION lockkeeper.version_now() RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN (SELECT v.version FROM lockkeeper.ddl_schema_version AS v ORDER BY v.version DESC LIMIT 1);
END $$;

-- Its row is locked, and never changed: it grows under no snapshot.
CREATE TABLE lockkeeper.ddl_version_order (one boolean PRIMARY KEY DEFAULT true CHECK (one));
INSERT INTO lockkeeper.ddl_version_order DEFAULT VALUES;

-- The last of so many more versions, in the order of commits: others wait for ours. Once more when a transaction that began before
-- this migration has changed the row meanwhile.
CREATE FUNCTION lockkeeper.next_version(more integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    made bigint;
BEGIN
    PERFORM FROM lockkeeper.ddl_version_order FOR UPDATE;
    LOOP
        UPDATE lockkeeper.ddl_schema_version AS v SET version = v.version + more
         WHERE v.version = (SELECT t.version FROM lockkeeper.ddl_schema_version AS t ORDER BY t.version DESC LIMIT 1)
        RETURNING v.version INTO made;
        IF FOUND THEN RETURN made; END IF;
    END LOOP;
END $$;

-- As in 0011 and 0012, with these.
CREATE OR REPLACE FUNCTION lockkeeper.make_version(job lockkeeper.ddl_job, state_after lockkeeper.schema_state)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    touched text[] := lockkeeper.changed_objects(job.id);
    changes jsonb := lockkeeper.affected_by(touched, lockkeeper.remembered(), job.action);
    made bigint;
BEGIN
    made := lockkeeper.next_version(1);
    INSERT INTO lockkeeper.ddl_schema_diff (version, job_id, action, state_from, state_to, objects, affected)
    VALUES (made, job.id, job.action, job.schema_state, state_after, touched, changes);
    PERFORM lockkeeper.begin_wait(job, made, touched, false);
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.mark_done(the_jobs bigint[], epochs bigint[], steps jsonb, anyway boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    job lockkeeper.ddl_job;
    touched text[];
    changing integer := 0;
    made bigint;
BEGIN
    PERFORM FROM lockkeeper.ddl_job WHERE id = ANY (the_jobs) ORDER BY id FOR UPDATE;
    FOR job IN SELECT * FROM lockkeeper.ddl_job AS j
                WHERE j.id = ANY (the_jobs) AND j.epoch = epochs[array_position(the_jobs, j.id)]
                  AND j.claimed_by + 0 IS NOT NULL ORDER BY j.id LOOP
        IF job.state <> 'running' AND NOT anyway THEN
            RAISE EXCEPTION 'to be stopped' USING ERRCODE = 'LK002';
        END IF;
        changing := changing + 1;
    END LOOP;
    IF changing < cardinality(the_jobs) THEN RAISE EXCEPTION 'claim lost' USING ERRCODE = 'LK001'; END IF;
    FOR job IN SELECT * FROM lockkeeper.ddl_job AS j WHERE j.id = ANY (the_jobs) ORDER BY j.id LOOP
        made := NULL;
        IF job.changes_schema THEN
            touched := lockkeeper.changed_objects(job.id);
            made := lockkeeper.next_version(1);
            INSERT INTO lockkeeper.ddl_schema_diff (version, job_id, action, state_from, state_to, objects, affected)
            VALUES (made, job.id, job.action, CASE job.schema_state WHEN 'none' THEN lockkeeper.state_before(job.action)
                                                                     ELSE job.schema_state END,
                    lockkeeper.state_after(job.action, job.schema_state), touched,
                    lockkeeper.affected_by(touched, lockkeeper.remembered(), job.action));
            PERFORM lockkeeper.begin_wait(job, made, touched, true);
        END IF;
        -- outside_started: nobody may end it without a look.
        UPDATE lockkeeper.ddl_job AS j
           SET state = 'done', schema_state = lockkeeper.state_after(j.action, j.schema_state), state_since = clock_timestamp(), claimed_by = NULL,
               outside_pid = NULL, paused_by = NULL, error = NULL, outside_started = true,
               done_steps = steps, done_version = made
         WHERE j.id = job.id;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.end_jobs(the_jobs bigint[], epochs bigint[], done_steps jsonb,
    claims_most integer, session_id integer, session_name text, process_id bigint, of_pool text,
    anyway boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    ended lockkeeper.ddl_job[];
    held integer;
    running integer;
    changing integer;
    last_version bigint;
    outside boolean;
    gone_jobs bigint[];
    gone_objects text[];
    gone_exclusives boolean[];
    granted bigint[] := '{}';
    made_ready integer;
    next_jobs bigint[] := '{}';
    -- Before the claim of the next, which may have waited for these.
    ended_now timestamptz := clock_timestamp();
BEGIN
    IF EXISTS (SELECT FROM lockkeeper.ddl_node) THEN
        PERFORM lockkeeper.mark_done(the_jobs, epochs, done_steps, anyway);
        IF claims_most > 0 THEN
            next_jobs := ARRAY(SELECT c.id FROM lockkeeper.claim(
                session_id, session_name, process_id, of_pool, claims_most) AS c);
        END IF;
        PERFORM set_config('lockkeeper.claimed', next_jobs::text, false);
        PERFORM set_config('lockkeeper.done', cardinality(the_jobs)::text, false);
        RETURN;
    END IF;
    PERFORM lockkeeper.lock_footprints(the_jobs);
    WITH gone AS (DELETE FROM lockkeeper.ddl_job_footprint AS f WHERE f.job_id = ANY (the_jobs)
                  RETURNING f.job_id, f.object, f.exclusive)
    SELECT array_agg(g.job_id), array_agg(g.object), array_agg(g.exclusive)
      INTO gone_jobs, gone_objects, gone_exclusives FROM gone AS g;
    IF EXISTS (SELECT FROM lockkeeper.ddl_job_footprint AS f
                WHERE f.object = ANY (gone_objects) AND NOT f.granted) THEN
        granted := lockkeeper.grant_next(gone_objects);
    END IF;
    IF granted <> '{}' OR cardinality(the_jobs) > 1 THEN
        PERFORM FROM lockkeeper.ddl_job WHERE id = ANY (the_jobs || granted) ORDER BY id FOR UPDATE;
    END IF;
    WITH gone AS (DELETE FROM lockkeeper.ddl_job AS j
                   WHERE j.id = ANY (the_jobs) AND j.epoch = epochs[array_position(the_jobs, j.id)]
                     -- "+ 0": the index of claims is full of dead ones; this is to go by id
                     AND j.claimed_by + 0 IS NOT NULL RETURNING j)
    SELECT array_agg(g.j), count(*), count(*) FILTER (WHERE (g.j).state = 'running' OR anyway),
           count(*) FILTER (WHERE (g.j).changes_schema), bool_or((g.j).outside_started)
      INTO ended, held, running, changing, outside FROM gone AS g;
    IF held < cardinality(the_jobs) THEN RAISE EXCEPTION 'claim lost' USING ERRCODE = 'LK001'; END IF;
    IF running < held THEN RAISE EXCEPTION 'to be stopped' USING ERRCODE = 'LK002'; END IF;
    IF outside THEN DELETE FROM lockkeeper.ddl_step WHERE job_id = ANY (the_jobs); END IF;
    made_ready := lockkeeper.lower_waits(granted);
    IF claims_most > 0 THEN
        next_jobs := ARRAY(SELECT c.id FROM lockkeeper.claim(
            session_id, session_name, process_id, of_pool, claims_most) AS c);
    END IF;
    PERFORM set_config('lockkeeper.claimed', next_jobs::text, false);
    PERFORM set_config('lockkeeper.done', '0', false);
    PERFORM set_config('lockkeeper.made_ready', (made_ready
        + coalesce(nullif(current_setting('lockkeeper.made_ready', true), ''), '0')::integer)::text, false);
    IF changing > 0 THEN last_version := lockkeeper.next_version(changing); END IF;
    WITH touched AS (
        SELECT g.job_id, array_agg(g.object ORDER BY g.object) AS objects
          FROM unnest(gone_jobs, gone_objects, gone_exclusives) AS g(job_id, object, exclusive)
         WHERE g.exclusive AND g.object NOT LIKE 'batch:%' GROUP BY g.job_id),
    told AS (
        SELECT j.id, j.schema_state, j.action, j.statements, j.role, j.search_path, j.settings,
               j.batch_id, j.batch_seq, j.key, j.tries, j.epoch, j.worker, j.submitted_at, j.started_at,
               coalesce(t.objects, '{}') AS objects,
               CASE WHEN j.changes_schema THEN last_version - changing
                    + count(*) FILTER (WHERE j.changes_schema) OVER (ORDER BY j.id) END AS version
          FROM unnest(ended) AS j LEFT JOIN touched AS t ON t.job_id = j.id),
    diff AS (
        INSERT INTO lockkeeper.ddl_schema_diff (version, job_id, action, state_from, state_to, objects, affected)
        SELECT t.version, t.id, t.action, CASE t.schema_state WHEN 'none' THEN lockkeeper.state_before(t.action)
                                                              ELSE t.schema_state END,
               lockkeeper.state_after(t.action, t.schema_state), t.objects,
               lockkeeper.affected_by(t.objects, lockkeeper.remembered(), t.action)
          FROM told AS t WHERE t.version IS NOT NULL)
    INSERT INTO lockkeeper.ddl_history (id, state, schema_state, action, statements, objects, role,
        search_path, settings, batch_id, batch_seq, key, tries, epoch, worker, error, steps,
        schema_version, submitted_at, started_at, ended_at)
    SELECT t.id, 'synced', lockkeeper.state_after(t.action, t.schema_state), t.action, t.statements, t.objects, t.role, t.search_path, t.settings,
           t.batch_id, t.batch_seq, t.key, t.tries, t.epoch, t.worker, NULL, done_steps, t.version,
           t.submitted_at, t.started_at, ended_now FROM told AS t;
    -- The version is ours until the commit: a node that is not there now will wait for us to learn its version.
    IF EXISTS (SELECT FROM lockkeeper.ddl_node) THEN
        RAISE EXCEPTION 'a node registered meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.heartbeat_node(node bigint) RETURNS bigint
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
    RETURN lockkeeper.version_now();
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.sync_node(node bigint, loaded bigint, is_free boolean DEFAULT false)
RETURNS TABLE (job_id bigint, version bigint, objects text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    acting name := lockkeeper.acting_role();
    known_from bigint;
BEGIN
    IF node IS NULL OR loaded IS NULL OR loaded NOT BETWEEN 0 AND lockkeeper.version_now() THEN
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

CREATE OR REPLACE FUNCTION lockkeeper.schema_version() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known bigint;
BEGIN
    PERFORM lockkeeper.need_read_committed();
    BEGIN
        PERFORM FROM lockkeeper.ddl_version_order FOR SHARE;
        PERFORM FROM lockkeeper.ddl_schema_version AS v WHERE v.version = lockkeeper.version_now() FOR SHARE;
        known := lockkeeper.version_now();
        RAISE EXCEPTION USING ERRCODE = 'LK012';
    EXCEPTION WHEN SQLSTATE 'LK012' THEN
        RETURN known;
    END;
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.changes_since(since bigint)
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
    PERFORM lockkeeper.need_no_gap(since, v.version + 1) FROM lockkeeper.version_now() AS v(version)
      WHERE v.version > since AND NOT EXISTS (SELECT FROM lockkeeper.ddl_schema_diff AS d WHERE d.version > since);
END $$;

CREATE OR REPLACE VIEW lockkeeper.nodes AS
SELECT n.id, n.name, n.role, n.version, v.version - n.version AS lag, CASE WHEN n.bound THEN n.pid END AS pid, n.lease,
       n.lease_until - pg_catalog.clock_timestamp() AS lease_left,
       pg_catalog.clock_timestamp() - n.gone_since AS gone, pg_catalog.clock_timestamp() - n.registered_at AS age,
       ARRAY(SELECT m.job_id FROM lockkeeper.ddl_mdl_view AS m WHERE m.node_id = n.id ORDER BY m.job_id) AS holds_up
  FROM lockkeeper.ddl_node AS n,
       (SELECT t.version FROM lockkeeper.ddl_schema_version AS t ORDER BY t.version DESC LIMIT 1) AS v;

-- What ended is found at once, and no end of a job has to sort in what others have left.
ALTER INDEX lockkeeper.ddl_history_objects SET (fastupdate = off);
SELECT gin_clean_pending_list('lockkeeper.ddl_history_objects');

-- May a job of the batch of `head`, right after those that were chosen, share its transaction? It waits only for jobs of the batch.
CREATE FUNCTION lockkeeper.fits(head lockkeeper.ddl_job, job lockkeeper.ddl_job)
RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN job.instant AND job.transactional AND job.state = 'queueing' AND job.parsed AND job.tries = 0 AND job.crashes = 0
       AND job.role = head.role AND job.search_path = head.search_path AND job.settings = head.settings
       AND NOT EXISTS (
           SELECT FROM lockkeeper.ddl_job_footprint AS f
             JOIN lockkeeper.ddl_job_footprint AS o ON o.object = f.object AND o.job_id < f.job_id AND (o.exclusive OR f.exclusive)
             JOIN lockkeeper.ddl_job AS b ON b.id = o.job_id
            WHERE f.job_id = job.id AND NOT f.granted AND f.object <> 'batch:' || head.batch_id
              AND b.batch_id IS DISTINCT FROM head.batch_id);
END $$;

-- Claims jobs that may share the transaction of instant job `head_id`, which the caller has claimed: with the same role, search_path and
-- settings, never tried before; of a batch, the ones right after it; else any of the first ready ones. Row locks, SKIP LOCKED. Reads no
-- more of a long batch or a long queue than of a short one.
CREATE FUNCTION lockkeeper.claim_more(head_id bigint, session_id integer, session_name text, process_id bigint, most integer)
RETURNS SETOF lockkeeper.ddl_job
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_sort = off SET jit = off AS $$
DECLARE
    head lockkeeper.ddl_job;
    other lockkeeper.ddl_job;
    level lockkeeper.ddl_floor;
    last_seq integer;
    chosen bigint[] := '{}';
BEGIN
    SELECT * INTO STRICT head FROM lockkeeper.ddl_job AS j WHERE j.id = head_id;
    IF head.batch_id IS NOT NULL THEN
        last_seq := head.batch_seq;
        FOR other IN SELECT * FROM lockkeeper.ddl_job AS j
                      WHERE j.batch_id = head.batch_id AND j.batch_seq > head.batch_seq
                      ORDER BY j.batch_seq LIMIT most FOR UPDATE SKIP LOCKED LOOP
            EXIT WHEN other.batch_seq <> last_seq + 1 OR NOT lockkeeper.fits(head, other);
            chosen := chosen || other.id;
            last_seq := other.batch_seq;
        END LOOP;
    ELSE
        SELECT * INTO STRICT level FROM lockkeeper.ddl_floor AS f WHERE f.pool = head.pool AND f.priority = 0;
        chosen := ARRAY(
            SELECT j.id FROM lockkeeper.ddl_job AS j
             WHERE j.id = ANY (ARRAY(SELECT r.id FROM lockkeeper.ddl_job AS r
                                      WHERE r.state = 'queueing' AND r.waits = 0 AND r.parsed AND r.pool = head.pool
                                        AND r.priority = 0 AND r.id + 0 >= lockkeeper.floor_of(level)
                                      ORDER BY r.id + 0 LIMIT 10 * most))
               AND j.state = 'queueing' AND j.waits = 0 AND j.instant AND j.transactional AND j.retry_at IS NULL AND j.tries = 0
               AND j.crashes = 0 AND j.batch_id IS NULL AND j.role = head.role AND j.search_path = head.search_path
               AND j.settings = head.settings
             ORDER BY j.id LIMIT most FOR UPDATE SKIP LOCKED);
    END IF;
    RETURN QUERY
    UPDATE lockkeeper.ddl_job AS j
       SET state = 'running', state_since = clock_timestamp(), epoch = j.epoch + 1, claimed_by = session_id,
           claimed_pid = pg_backend_pid(), worker = session_name, process = process_id,
           started_at = coalesce(j.started_at, clock_timestamp())
     WHERE j.id = ANY (chosen) AND j.state = 'queueing' RETURNING j.*;
END $$;

-- What each submission and each claim calls, as before, in a language that keeps its plans: a function in SQL that is not put into
-- its query is planned anew in each, and what a table rests on took most of the time of a submission.
CREATE OR REPLACE FUNCTION lockkeeper.rests_on(of_class oid, of_object oid, reads_only boolean) RETURNS SETOF text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
-- A few objects are looked up, whatever the planner takes a recursion for: no catalog is read whole.
SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
BEGIN
    RETURN QUERY
    WITH RECURSIVE reached AS (
        SELECT of_class AS class, of_object AS object, 0 AS depth
        UNION
        SELECT d.refclassid, d.refobjid, r.depth + 1
          FROM reached AS r
         CROSS JOIN LATERAL (
                   SELECT r.class AS class, r.object AS object
                   UNION ALL SELECT 'pg_rewrite'::regclass, w.oid FROM pg_rewrite AS w
                              WHERE r.class = 'pg_class'::regclass AND w.ev_class = r.object
                   UNION ALL SELECT 'pg_attrdef'::regclass, a.oid FROM pg_attrdef AS a
                              WHERE r.class = 'pg_class'::regclass AND r.depth = 0 AND NOT reads_only
                                AND a.adrelid = r.object
                   UNION ALL SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint AS k
                              WHERE r.class = 'pg_class'::regclass AND r.depth = 0 AND NOT reads_only
                                AND k.conrelid = r.object
                   UNION ALL SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint AS k
                              WHERE r.class = 'pg_type'::regclass AND r.depth = 0 AND NOT reads_only
                                AND k.contypid = r.object
                   UNION ALL SELECT 'pg_trigger'::regclass, t.oid FROM pg_trigger AS t
                              WHERE r.class = 'pg_class'::regclass AND r.depth = 0 AND NOT reads_only
                                AND t.tgrelid = r.object AND NOT t.tgisinternal
                   UNION ALL SELECT 'pg_policy'::regclass, p.oid FROM pg_policy AS p
                              WHERE r.class = 'pg_class'::regclass AND r.depth = 0 AND NOT reads_only
                                AND p.polrelid = r.object
                   UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index AS i
                              WHERE r.class = 'pg_class'::regclass AND r.depth = 0 AND NOT reads_only
                                AND i.indrelid = r.object) AS part
          JOIN pg_depend AS d ON d.classid = part.class AND d.objid = part.object
                             AND d.refobjid >= 16384 AND d.refobjid <> r.object
         -- On from a view to what is behind it; of all else, the first step only.
         WHERE r.depth < 32 AND (r.depth = 0 OR (r.class = 'pg_class'::regclass AND EXISTS (
                   SELECT FROM pg_class AS v WHERE v.oid = r.object AND v.relkind IN ('v', 'm'))))
           AND d.refclassid IN ('pg_class'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass)),
    named AS (
        SELECT 'relation' AS kind, c.relnamespace AS ns, c.relname AS name
          FROM reached AS r JOIN pg_class AS c ON c.oid = r.object
         WHERE r.class = 'pg_class'::regclass AND r.depth > 0 AND c.relkind <> 'i' AND c.relkind <> 'I'
        UNION
        SELECT 'type', e.typnamespace, e.typname
          FROM reached AS r JOIN pg_type AS t ON t.oid = r.object
          JOIN pg_type AS e ON e.oid = CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN t.typelem ELSE t.oid END
         WHERE r.class = 'pg_type'::regclass AND r.depth > 0 AND e.typrelid = 0 AND NOT reads_only
        UNION
        SELECT 'function', p.pronamespace, p.proname
          FROM reached AS r JOIN pg_proc AS p ON p.oid = r.object
         WHERE r.class = 'pg_proc'::regclass AND r.depth > 0 AND NOT reads_only)
    SELECT lockkeeper.object_key(n.kind, s.nspname, n.name)
      FROM named AS n JOIN pg_namespace AS s ON s.oid = n.ns
     WHERE s.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'lockkeeper');
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.floor_of(level lockkeeper.ddl_floor) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN least(level.floor, (SELECT l.job_id FROM lockkeeper.ddl_floor_lowered AS l
                                WHERE l.pool = level.pool AND l.priority = level.priority
                                ORDER BY l.job_id LIMIT 1));
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.setting(wanted text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT s.value FROM lockkeeper.ddl_setting AS s WHERE s.name = wanted),
                    CASE wanted WHEN 'queue' THEN 'running' WHEN 'history_days' THEN '0'
                                WHEN 'history_rows' THEN '0' WHEN 'mdl' THEN 'on' WHEN 'mdl_timeout' THEN '0'
                                WHEN 'mdl_on_timeout' THEN 'wait' WHEN 'kill_blockers' THEN '0'
                                WHEN 'node_grace_ms' THEN '1000' WHEN 'node_lease_most' THEN '3600'
                                WHEN 'diff_hours' THEN '168' WHEN 'trash_hours' THEN '24' END);
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.changed_objects(the_job bigint) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce((SELECT array_agg(f.object ORDER BY f.object) FROM lockkeeper.ddl_job_footprint AS f
                      WHERE f.job_id = the_job AND f.exclusive AND f.object NOT LIKE 'batch:%'), '{}');
END $$;

REVOKE ALL ON FUNCTION lockkeeper.version_now(), lockkeeper.next_version(integer),
    lockkeeper.fits(lockkeeper.ddl_job, lockkeeper.ddl_job),
    lockkeeper.claim_more(bigint, integer, text, bigint, integer) FROM PUBLIC;
