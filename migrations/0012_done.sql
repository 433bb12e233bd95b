-- The end in two phases: a job whose work is done waits for the nodes, then it is synced.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (12, 'done');

-- Schema states of what a job is about, before its first and after its last step. Without settings, so that they
-- are inlined.
CREATE FUNCTION lockkeeper.state_before(action text) RETURNS lockkeeper.schema_state
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN action LIKE 'drop %' THEN 'public' ELSE 'none' END::lockkeeper.schema_state
$$;
CREATE FUNCTION lockkeeper.state_after(action text, before lockkeeper.schema_state) RETURNS lockkeeper.schema_state
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN action LIKE 'drop %' OR before = 'delete only' THEN 'none' ELSE 'public' END::lockkeeper.schema_state
$$;

CREATE FUNCTION lockkeeper.has_nodes() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM lockkeeper.ddl_node)
$$;

-- As in 0009; an announcement has no statement.
CREATE OR REPLACE FUNCTION lockkeeper.keep_plan(the_job bigint, claim_epoch bigint, steps jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- From now on a worker must look at it before it can be cancelled.
    UPDATE lockkeeper.ddl_job SET outside_started = true
     WHERE id = the_job AND epoch = claim_epoch AND state = 'running';
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO lockkeeper.ddl_step (job_id, seq, kind, statement, state, detail)
    SELECT the_job, n, s->>'kind', coalesce((SELECT string_agg(t, E';\n')
               FROM jsonb_array_elements_text(s->'statements') AS e(t)), ''),
           'pending', s FROM jsonb_array_elements(steps) WITH ORDINALITY AS a(s, n);
    RETURN true;
END $$;

-- As in 0010; a backfill changes nothing that can be seen, and makes no version either.
CREATE OR REPLACE FUNCTION lockkeeper.end_step(the_job bigint, claim_epoch bigint, the_seq integer,
                                    state_after lockkeeper.schema_state) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job;
    step_kind text;
    announces boolean;
BEGIN
    SELECT * INTO job FROM lockkeeper.ddl_job WHERE id = the_job AND epoch = claim_epoch FOR UPDATE;
    IF NOT FOUND OR job.claimed_by IS NULL THEN RAISE EXCEPTION 'claim lost' USING ERRCODE = 'LK001'; END IF;
    UPDATE lockkeeper.ddl_step SET state = 'done', ended_at = clock_timestamp(),
           started_at = coalesce(started_at, transaction_timestamp())
     WHERE job_id = the_job AND seq = the_seq AND state IN ('pending', 'running') RETURNING kind, jsonb_array_length(coalesce(detail->'hides', '[]')) > 0 INTO STRICT step_kind, announces;
    IF job.state <> 'running' AND step_kind = 'transaction' THEN
        RAISE EXCEPTION 'to be stopped' USING ERRCODE = 'LK002';
    END IF;
    IF step_kind = 'probe' THEN RETURN; END IF;
    UPDATE lockkeeper.ddl_job SET schema_state = state_after WHERE id = the_job;
    IF step_kind = 'backfill' THEN RETURN; END IF;
    IF job.schema_state = 'none' THEN
        job.schema_state := CASE WHEN state_after IN ('write only', 'delete only') AND announces
                                 THEN 'public' ELSE lockkeeper.state_before(job.action) END;
    END IF;
    PERFORM lockkeeper.make_version(job, state_after);
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.undo_step(the_job bigint, claim_epoch bigint, the_seq integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job;
    state_before lockkeeper.schema_state;
    step_kind text;
BEGIN
    SELECT * INTO job FROM lockkeeper.ddl_job
     WHERE id = the_job AND epoch = claim_epoch AND state = 'rolling back' FOR UPDATE;
    IF NOT FOUND THEN RAISE EXCEPTION 'claim lost' USING ERRCODE = 'LK001'; END IF;
    UPDATE lockkeeper.ddl_step SET state = 'undone', ended_at = clock_timestamp()
     WHERE job_id = the_job AND seq = the_seq AND state <> 'undone' RETURNING kind INTO step_kind;
    IF step_kind IN ('probe', 'backfill') THEN RETURN; END IF;
    state_before := coalesce((SELECT (s.detail->>'schema_state')::lockkeeper.schema_state FROM lockkeeper.ddl_step AS s
                               WHERE s.job_id = the_job AND s.seq < the_seq ORDER BY s.seq DESC LIMIT 1),
                             lockkeeper.state_before(job.action));
    UPDATE lockkeeper.ddl_job SET schema_state = state_before WHERE id = the_job;
    PERFORM lockkeeper.make_version(job, state_before);
END $$;

-- Columns, and tables (column_name NULL), that a job is about to drop: from 'write only' on nodes do not read them, from
-- 'delete only' on they do not write them either. A table that is listed is not used at all.
CREATE VIEW lockkeeper.hidden AS
SELECT DISTINCT ON (s.job_id, h.relation, h."column") s.job_id, h.relation::regclass AS relation,
       nullif(h."column", '') AS column_name, s.detail->>'schema_state' AS schema_state
  FROM lockkeeper.ddl_step AS s, LATERAL pg_catalog.jsonb_to_recordset(s.detail->'hides') AS h(relation oid, "column" text)
 WHERE s.state = 'done' ORDER BY s.job_id, h.relation, h."column", s.seq DESC;
GRANT SELECT ON lockkeeper.hidden TO PUBLIC;

-- The columns of a table as a node is to use them now; no row: it is not to be used, or not there.
CREATE FUNCTION lockkeeper.columns_of(relation text)
RETURNS TABLE (name text, type text, not_null boolean, readable boolean, writable boolean)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF relation NOT LIKE '%.%' THEN
        RAISE EXCEPTION 'say the schema of table "%" too', relation
            USING ERRCODE = 'invalid_parameter_value', HINT = 'public.orders';
    END IF;
    RETURN QUERY
    SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, h.column_name IS NULL,
           h.schema_state IS DISTINCT FROM 'delete only' AND a.attgenerated = ''
      FROM pg_attribute AS a
      LEFT JOIN lockkeeper.hidden AS h ON h.relation = a.attrelid AND h.column_name = a.attname
     WHERE a.attrelid = to_regclass(columns_of.relation) AND a.attnum > 0 AND NOT a.attisdropped
       AND a.attname NOT LIKE 'lockkeeper\_new\_%'
       AND NOT EXISTS (SELECT FROM lockkeeper.hidden AS t WHERE t.relation = a.attrelid AND t.column_name IS NULL)
     ORDER BY a.attnum;
END $$;

-- A job that drops without having announced it ends only when there are no nodes: after its end, in its transaction,
-- which has the version's row.
CREATE FUNCTION lockkeeper.need_no_nodes() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM lockkeeper.ddl_node) THEN
        RAISE EXCEPTION 'a node registered meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

-- The worker pauses its own job, as was asked for when it was submitted.
CREATE FUNCTION lockkeeper.pause_for(the_job bigint, claim_epoch bigint, reason jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job;
BEGIN
    UPDATE lockkeeper.ddl_job SET error = reason WHERE id = the_job AND epoch = claim_epoch RETURNING * INTO job;
    IF FOUND THEN PERFORM lockkeeper.pause_one(job, 'user'); END IF;
END $$;

-- Jobs that wait in the queue for nodes and transactions, and need not any more, are due now. Gives their pools.
CREATE FUNCTION lockkeeper.wake_synced() RETURNS SETOF text
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    UPDATE lockkeeper.ddl_job AS j SET retry_at = NULL
     WHERE j.id IN (SELECT f.id FROM lockkeeper.ddl_job AS f JOIN lockkeeper.ddl_mdl_info AS m ON m.job_id = f.id
                     WHERE f.state = 'queueing' AND f.retry_at IS NOT NULL
                       AND NOT EXISTS (SELECT FROM lockkeeper.ddl_mdl_view AS v WHERE v.job_id = f.id)
                       FOR UPDATE OF f SKIP LOCKED)
    RETURNING j.pool
$$;

-- For people, and for whom migrate --grant names: the nodes.
CREATE VIEW lockkeeper.nodes AS
SELECT n.id, n.name, n.role, n.version, v.version - n.version AS lag, CASE WHEN n.bound THEN n.pid END AS pid, n.lease,
       n.lease_until - pg_catalog.clock_timestamp() AS lease_left,
       pg_catalog.clock_timestamp() - n.gone_since AS gone, pg_catalog.clock_timestamp() - n.registered_at AS age,
       ARRAY(SELECT m.job_id FROM lockkeeper.ddl_mdl_view AS m WHERE m.node_id = n.id ORDER BY m.job_id) AS holds_up
  FROM lockkeeper.ddl_node AS n, lockkeeper.ddl_schema_version AS v;
GRANT SELECT ON lockkeeper.nodes TO PUBLIC;

-- Jobs have done their work, in the transaction of their changes, and there are nodes: they keep their objects until
-- every node has their versions. Errors as those of end_jobs. Locks: rows of jobs, then the version (0005).
CREATE FUNCTION lockkeeper.mark_done(the_jobs bigint[], epochs bigint[], steps jsonb, anyway boolean) RETURNS void
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
            UPDATE lockkeeper.ddl_schema_version AS v SET version = v.version + 1 RETURNING v.version INTO made;
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

-- As in 0005, and diffs say what was affected; when there are nodes, the jobs are only marked as done
-- (lockkeeper.done: how many). A node that comes in between has it tried again (40001).
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
    WITH touched AS (
        SELECT g.job_id, array_agg(g.object ORDER BY g.object) AS objects
          FROM unnest(gone_jobs, gone_objects, gone_exclusives) AS g(job_id, object, exclusive)
         WHERE g.exclusive AND g.object NOT LIKE 'batch:%' GROUP BY g.job_id),
    counter AS (UPDATE lockkeeper.ddl_schema_version AS v SET version = v.version + changing
                 WHERE changing > 0 RETURNING v.version),
    told AS (
        SELECT j.id, j.schema_state, j.action, j.statements, j.role, j.search_path, j.settings,
               j.batch_id, j.batch_seq, j.key, j.tries, j.epoch, j.worker, j.submitted_at, j.started_at,
               coalesce(t.objects, '{}') AS objects,
               CASE WHEN j.changes_schema THEN (SELECT c.version FROM counter AS c) - changing
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
    -- The version's row is ours until the commit: a node that is not there now will wait for us to learn its version.
    IF EXISTS (SELECT FROM lockkeeper.ddl_node) THEN
        RAISE EXCEPTION 'a node registered meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END $$;

-- Takes done jobs that nobody holds up any more to history, as synced. Any process; two at once share the work. Gives
-- them.
CREATE FUNCTION lockkeeper.finish_done(most integer) RETURNS SETOF bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    ids bigint[];
    ended lockkeeper.ddl_job[];
    gone_jobs bigint[];
    gone_objects text[];
    gone_exclusives boolean[];
    granted bigint[];
BEGIN
    ids := ARRAY(SELECT j.id FROM lockkeeper.ddl_job AS j WHERE j.state = 'done'
                    AND NOT EXISTS (SELECT FROM lockkeeper.ddl_mdl_view AS v WHERE v.job_id = j.id)
                  ORDER BY j.id LIMIT most);
    IF ids = '{}' THEN RETURN; END IF;
    PERFORM lockkeeper.lock_footprints(ids);
    WITH gone AS (DELETE FROM lockkeeper.ddl_job_footprint AS f WHERE f.job_id = ANY (ids)
                  RETURNING f.job_id, f.object, f.exclusive)
    SELECT array_agg(g.job_id), array_agg(g.object), array_agg(g.exclusive)
      INTO gone_jobs, gone_objects, gone_exclusives FROM gone AS g;
    granted := lockkeeper.grant_next(gone_objects);
    PERFORM FROM lockkeeper.ddl_job WHERE id = ANY (ids || granted) ORDER BY id FOR UPDATE;
    WITH gone AS (DELETE FROM lockkeeper.ddl_job AS j WHERE j.id = ANY (ids) AND j.state = 'done' RETURNING j)
    SELECT array_agg(g.j) INTO ended FROM gone AS g;
    DELETE FROM lockkeeper.ddl_step AS s WHERE s.job_id = ANY (ids);
    DELETE FROM lockkeeper.ddl_mdl_info AS m WHERE m.job_id = ANY (ids);
    DELETE FROM lockkeeper.ddl_node_ack AS a WHERE a.job_id = ANY (ids);
    RETURN QUERY
    INSERT INTO lockkeeper.ddl_history (id, state, schema_state, action, statements, objects, role,
        search_path, settings, batch_id, batch_seq, key, tries, epoch, worker, error, steps,
        schema_version, submitted_at, started_at, ended_at)
    SELECT j.id, 'synced', j.schema_state, j.action, j.statements,
           coalesce((SELECT array_agg(g.object ORDER BY g.object)
                       FROM unnest(gone_jobs, gone_objects, gone_exclusives) AS g(job_id, object, exclusive)
                      WHERE g.job_id = j.id AND g.exclusive AND g.object NOT LIKE 'batch:%'), '{}'),
           j.role, j.search_path, j.settings, j.batch_id, j.batch_seq, j.key, j.tries, j.epoch, j.worker, NULL,
           j.done_steps, j.done_version, j.submitted_at, j.started_at, clock_timestamp()
      FROM unnest(ended) AS j RETURNING ddl_history.id;
    PERFORM pg_notify('lockkeeper_ended', '');
    IF lockkeeper.lower_waits(granted) > 0 THEN PERFORM pg_notify('lockkeeper_ready', ''); END IF;
END $$;

-- The first node that a done job waits for, in the words of an error.
CREATE FUNCTION lockkeeper.held_up(the_job bigint) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object('sqlstate', '55P03', 'message', format('waits for node %s (%s)%s',
               v.name, CASE WHEN v.node_version < 0 THEN 'loading'
                            ELSE format('version %s of %s', v.node_version, v.version) END, CASE WHEN count(*) OVER () > 1
                   THEN format(' and %s more', count(*) OVER () - 1) ELSE '' END))
      FROM lockkeeper.ddl_mdl_view AS v WHERE v.job_id = the_job ORDER BY v.node_id LIMIT 1
$$;

-- As in 0007; a done job says whom it waits for.
CREATE OR REPLACE VIEW lockkeeper.jobs AS
SELECT j.id, j.state::text AS state, j.schema_state::text AS schema_state, j.action,
       ARRAY(SELECT f.object FROM lockkeeper.ddl_job_footprint AS f
              WHERE f.job_id = j.id AND f.exclusive AND f.object NOT LIKE 'batch:%'
              ORDER BY f.object) AS objects,
       CASE WHEN j.waits > 0 THEN lockkeeper.dependency_id(j.id) END AS dependency_id,
       -- not clock_timestamp(): a volatile column would keep LIMIT from being seen inside
       pg_catalog.statement_timestamp() - j.submitted_at AS age,
       j.worker, j.role::text AS role, j.tries, j.retry_at,
       CASE WHEN j.state = 'done' THEN lockkeeper.held_up(j.id) WHEN j.error IS NULL OR lockkeeper.may_read(j.role) THEN j.error
            ELSE pg_catalog.jsonb_build_object('sqlstate', j.error->>'sqlstate') END AS error, j.epoch, j.batch_id, j.priority, j.pool, j.key,
       j.submitted_at, j.started_at, j.state_since,
       CASE WHEN lockkeeper.may_read(j.role) THEN pg_catalog.array_to_string(j.statements, E';\n')
            ELSE '(of role ' || j.role || ')' END AS statement,
       j.paused_by, j.crashes
  FROM lockkeeper.ddl_job AS j;

-- As in 0006; what is done cannot be stopped any more.
CREATE OR REPLACE FUNCTION lockkeeper.cancel_one(acting name, job lockkeeper.ddl_job) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF job.state = 'done' THEN RETURN 'done'; END IF;
    IF job.claimed_by IS NOT NULL THEN
        UPDATE lockkeeper.ddl_job SET state = 'cancelling', paused_by = NULL, state_since = clock_timestamp()
         WHERE id = job.id AND state NOT IN ('cancelling', 'rolling back');
        PERFORM pg_notify('lockkeeper_cancel', job.id::text);
    ELSE
        UPDATE lockkeeper.ddl_job
           SET state = 'queueing', paused_by = NULL, retry_at = NULL, state_since = clock_timestamp(),
               error = lockkeeper.cancelled_by(acting) || '{"cancel": true}'
         WHERE id = job.id;
        PERFORM pg_notify('lockkeeper_ready', job.pool);
    END IF;
    RETURN 'cancelling';
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.pause_one(job lockkeeper.ddl_job, pauser text, OUT state text, OUT answer text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    state := job.state;
    IF job.state IN ('paused', 'pausing') THEN
        answer := 'it is paused already';
        -- What a user paused stays paused when the system resumes its own.
        IF pauser = 'user' THEN UPDATE lockkeeper.ddl_job SET paused_by = 'user' WHERE id = job.id; END IF;
    ELSIF job.state = 'done' THEN
        answer := 'it is done, and waits for nodes';
    ELSIF job.state IN ('cancelling', 'rolling back') THEN
        answer := 'it is being cancelled';
    ELSIF job.claimed_by IS NOT NULL THEN
        state := 'pausing';
        UPDATE lockkeeper.ddl_job AS j SET state = 'pausing', paused_by = pauser, state_since = clock_timestamp()
         WHERE j.id = job.id;
        PERFORM pg_notify('lockkeeper_cancel', job.id::text);
        answer := 'its worker is told to stop; steps that are done stay';
    ELSIF job.error ? 'cancel' THEN
        answer := 'it is being cancelled';
    ELSE
        state := 'paused';
        UPDATE lockkeeper.ddl_job AS j SET state = 'paused', paused_by = pauser, state_since = clock_timestamp()
         WHERE j.id = job.id;
        answer := 'it keeps its place: what conflicts with it waits';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.steer(verb text, which jsonb)
RETURNS TABLE (id bigint, state text, done boolean, answer text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    acting name := lockkeeper.acting_role();
    wanted bigint[];
    own bigint[];
    fallen bigint[] := '{}';
    again bigint[] := '{}';
    job lockkeeper.ddl_job;
    ended lockkeeper.job_state;
BEGIN
    PERFORM lockkeeper.need_read_committed();
    IF verb NOT IN ('cancel', 'pause', 'resume', 'retry') THEN
        RAISE EXCEPTION 'there is no verb %', quote_literal(verb) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF which ? 'ids' THEN
        wanted := ARRAY(SELECT DISTINCT e::bigint FROM jsonb_array_elements_text(which->'ids') AS t(e) ORDER BY 1);
    ELSE
        wanted := ARRAY(SELECT j.id FROM lockkeeper.ddl_job AS j
                         WHERE ((which->>'all')::boolean OR j.batch_id = (which->>'batch')::bigint
                                OR j.action = which->>'action')
                           AND lockkeeper.may_steer(acting, j.role) ORDER BY j.id);
    END IF;
    own := ARRAY(SELECT j.id FROM lockkeeper.ddl_job AS j
                  WHERE j.id = ANY (wanted) AND lockkeeper.may_steer(acting, j.role));
    IF verb = 'cancel' THEN
        fallen := lockkeeper.end_cancelled(
            ARRAY(SELECT f FROM lockkeeper.falling_with(ARRAY(
                SELECT j.id FROM lockkeeper.ddl_job AS j
                 WHERE j.id = ANY (own) AND j.claimed_by IS NULL AND NOT j.outside_started)) AS f),
            NULL, lockkeeper.cancelled_by(acting), 'was cancelled', own);
    ELSE
        PERFORM FROM lockkeeper.ddl_job AS j WHERE j.id = ANY (own) ORDER BY j.id FOR UPDATE;
    END IF;
    FOREACH id IN ARRAY wanted LOOP
        answer := NULL;
        SELECT * INTO job FROM lockkeeper.ddl_job AS j WHERE j.id = steer.id;
        IF NOT FOUND THEN
            SELECT h.state INTO ended FROM lockkeeper.ddl_history AS h WHERE h.id = steer.id;
            state := CASE WHEN FOUND THEN ended::text END;
            done := id = ANY (fallen);
            IF NOT done THEN
                answer := CASE WHEN state IS NULL THEN 'there is no such job' ELSE 'it has ended already' END;
            END IF;
        ELSIF NOT lockkeeper.may_steer(acting, job.role) THEN
            state := job.state; done := false;
            answer := format('it belongs to role %s', quote_ident(job.role));
        ELSIF verb = 'cancel' THEN
            state := lockkeeper.cancel_one(acting, job);
            done := state <> 'done';
            answer := CASE WHEN done THEN 'its worker is told to stop' ELSE 'it is done, and waits for nodes' END;
        ELSE
            IF verb = 'pause' THEN
                SELECT p.state, p.answer INTO state, answer FROM lockkeeper.pause_one(job, 'user') AS p;
            ELSIF verb = 'resume' THEN
                SELECT r.state, r.answer INTO state, answer FROM lockkeeper.resume_one(job, 'user') AS r;
            ELSE
                SELECT r.state, r.answer INTO state, answer FROM lockkeeper.retry_one(job) AS r;
            END IF;
            done := state <> job.state::text OR (verb = 'retry' AND job.retry_at IS NOT NULL);
        END IF;
        again := again || id;
        RETURN NEXT;
    END LOOP;
    IF verb <> 'pause' THEN PERFORM lockkeeper.lower_floor(again); END IF;
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.resume_one(job lockkeeper.ddl_job, resumer text, OUT state text, OUT answer text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    state := job.state;
    IF job.state NOT IN ('paused', 'pausing') THEN
        answer := 'it is not paused';
    ELSIF job.paused_by = 'system' AND resumer = 'user' AND lockkeeper.upgrading() THEN
        answer := 'it was paused for an upgrade, and is resumed when that ends';
    ELSIF job.paused_by <> 'system' AND resumer = 'system' THEN
        answer := 'somebody paused it, and it stays so';
    ELSIF job.state = 'pausing' THEN
        -- Its worker was told to stop, and will find that it is to go on: it is tried again.
        state := 'running';
        UPDATE lockkeeper.ddl_job AS j SET state = 'running', paused_by = NULL, state_since = clock_timestamp()
         WHERE j.id = job.id;
        answer := 'it had not stopped yet; it runs on or is tried again';
    ELSE
        state := 'queueing';
        UPDATE lockkeeper.ddl_job AS j
           SET state = 'queueing', paused_by = NULL, retry_at = NULL, state_since = clock_timestamp(),
               crashes = CASE WHEN job.paused_by = 'crashes' THEN 0 ELSE j.crashes END
         WHERE j.id = job.id;
        -- What it waits for between two steps is waited for anew.
        UPDATE lockkeeper.ddl_mdl_info AS m SET since = clock_timestamp() WHERE m.job_id = job.id;
        PERFORM pg_notify('lockkeeper_ready', job.pool);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.retry_one(job lockkeeper.ddl_job, OUT state text, OUT answer text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    state := job.state;
    IF job.state = 'paused' THEN
        SELECT r.state, r.answer INTO state, answer FROM lockkeeper.resume_one(job, 'user') AS r;
    ELSIF job.state = 'queueing' AND job.retry_at IS NOT NULL THEN
        UPDATE lockkeeper.ddl_job AS j SET retry_at = NULL, tries = 0 WHERE j.id = job.id;
        PERFORM pg_notify('lockkeeper_ready', job.pool);
        answer := 'it is tried again now';
    ELSE
        answer := CASE WHEN job.state = 'done' THEN 'it is done, and waits for nodes' WHEN job.state = 'queueing' THEN 'it waits for its turn' ELSE 'it runs' END;
    END IF;
END $$;

-- As in 0010, and how it waits for nodes and transactions: mdl, mdl_timeout, mdl_on_timeout, kill_blockers.
CREATE OR REPLACE FUNCTION lockkeeper.alter_job(the_job bigint, changes jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job;
    one record;
BEGIN
    SELECT * INTO job FROM lockkeeper.ddl_job WHERE id = the_job FOR UPDATE;
    IF NOT FOUND OR NOT lockkeeper.may_steer(lockkeeper.acting_role(), job.role) THEN
        RAISE EXCEPTION 'job % is not in the queue, or it is not yours', the_job USING ERRCODE = 'no_data_found';
    END IF;
    IF coalesce(jsonb_typeof(changes), '') <> 'object' THEN
        RAISE EXCEPTION 'changes are an object' USING ERRCODE = 'invalid_parameter_value', HINT = '{"threads": 4}';
    END IF;
    FOR one IN SELECT key, value FROM jsonb_each_text(changes) LOOP
        IF NOT coalesce(one.value IS NULL AND one.key = ANY ('{threads,batch_ms,rows_per_second,postpone_cutover,mdl,mdl_timeout,mdl_on_timeout,kill_blockers}')
                        OR lockkeeper.is_tuning('lockkeeper.' || one.key, one.value), false) THEN
            RAISE EXCEPTION '"%" cannot be "%"', one.key, one.value USING ERRCODE = 'invalid_parameter_value',
                HINT = 'threads, batch_ms, rows_per_second, mdl_timeout, kill_blockers: a whole number; '
                       'postpone_cutover: on or off; mdl: on, nodes or off; mdl_on_timeout: wait, pause or cancel';
        END IF;
    END LOOP;
    UPDATE lockkeeper.ddl_job SET settings = jsonb_strip_nulls(settings || (
               SELECT coalesce(jsonb_object_agg('lockkeeper.' || key, value), '{}') FROM jsonb_each_text(changes))),
           retry_at = CASE WHEN changes ?| '{postpone_cutover,mdl,mdl_timeout,kill_blockers}' THEN NULL ELSE retry_at END
     WHERE id = the_job RETURNING * INTO job;
    -- A wait that has begun goes on by the new rule.
    UPDATE lockkeeper.ddl_mdl_info SET mode = lockkeeper.mdl_setting(job.settings, 'mdl') WHERE job_id = the_job;
    PERFORM pg_notify('lockkeeper_ready', job.pool), pg_notify('lockkeeper_ack', '');
    RETURN (SELECT coalesce(jsonb_object_agg(substr(key, 12), value), '{}') FROM jsonb_each(job.settings)
             WHERE key LIKE 'lockkeeper.%');
END $$;

-- As in 0010, with what has come since; who could use the queue before may use that too.
CREATE OR REPLACE FUNCTION lockkeeper.grant_use(to_role name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA lockkeeper TO %I', to_role);
    EXECUTE format('GRANT SELECT ON lockkeeper.jobs, lockkeeper.history, lockkeeper.statistics, '
        'lockkeeper.ddl_migration TO %I', to_role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION lockkeeper.submit(text, jsonb), '
        'lockkeeper.enqueue(jsonb, jsonb), lockkeeper.cancel(bigint), lockkeeper.pause(bigint), '
        'lockkeeper.resume(bigint), lockkeeper.retry(bigint), lockkeeper.steer(text, jsonb), '
        'lockkeeper.steer_one(text, bigint), lockkeeper.alter_job(bigint, jsonb), '
        'lockkeeper.setting(text), lockkeeper.acting_role(), '
        'lockkeeper.statement_settings(), lockkeeper.resolve_refs(jsonb, text[]), '
        'lockkeeper.path_schemas(text, name), lockkeeper.object_key(text, text, text), '
        'lockkeeper.find_schema(text, text, text[]), lockkeeper.conflicts_of(text[], boolean[]), '
        'lockkeeper.chain_of(text[], boolean[]), lockkeeper.waits_for(bigint[]), '
        'lockkeeper.find_history(jsonb, integer), lockkeeper.rests_on(oid, oid, boolean), '
        'lockkeeper.dependency_id(bigint), lockkeeper.may_read(name), lockkeeper.holders_of(lockkeeper.ddl_mdl_info), '
        'lockkeeper.held_up(bigint), '
        'lockkeeper.register_node(text, interval, boolean), lockkeeper.heartbeat_node(bigint), '
        'lockkeeper.sync_node(bigint, bigint, boolean), lockkeeper.acknowledge(bigint, bigint[], bigint[]), '
        'lockkeeper.remove_node(bigint), lockkeeper.schema_version(), lockkeeper.changes_since(bigint), '
        'lockkeeper.pin(regclass), lockkeeper.has_nodes(), lockkeeper.columns_of(text) TO %I', to_role);
END $$;

DO $$
DECLARE
    f regprocedure;
    grantee name;
BEGIN
    FOR f IN SELECT p.oid FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = 'lockkeeper'::regnamespace LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
    FOR grantee IN SELECT DISTINCT pg_catalog.pg_get_userbyid(a.grantee) FROM pg_catalog.pg_proc AS p,
                          LATERAL pg_catalog.aclexplode(p.proacl) AS a
                    WHERE p.oid = 'lockkeeper.resolve_refs(jsonb, text[])'::regprocedure
                      AND a.grantee <> p.proowner AND a.grantee <> 0 LOOP
        PERFORM lockkeeper.grant_use(grantee);
    END LOOP;
END $$;
