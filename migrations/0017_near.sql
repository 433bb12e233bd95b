-- Ends and claims of quick jobs: at less cost, and hardly ever one behind another.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name, breaking) VALUES (17, 'near', false);

-- Nobody may be between the locks of before and his commit. Who waits for them here, in the functions of before, gets an error further
-- down, and comes again.
SELECT pg_advisory_xact_lock(1280009593, s) FROM generate_series(0, 1023) AS s;

-- The order of locks is that of 0005; in place of its 1024 stripes, which sixteen jobs could hardly take without meeting others: a key for
-- each object, under a lock for all of them, which whoever has very many objects takes alone (the server has room for few thousand locks).
CREATE FUNCTION lockkeeper.lock_keys(objects text[], exclusives boolean[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
    PERFORM set_config('lockkeeper.locks', 'keys', true);
    IF cardinality(objects) > 500 AND (SELECT count(DISTINCT o) FROM unnest(objects) AS o) > 500 THEN
        PERFORM pg_advisory_xact_lock(1280009594, 0);
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(1280009594, 0);
    PERFORM CASE WHEN k.excl THEN pg_advisory_xact_lock(1280009593, k.key)
                 ELSE pg_advisory_xact_lock_shared(1280009593, k.key) END
       FROM (SELECT hashtext(t.object) AS key, bool_or(t.exclusive) AS excl
               FROM unnest(objects, exclusives) AS t(object, exclusive) GROUP BY 1 ORDER BY 1) AS k;
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.lock_objects(entries lockkeeper.footprint_entry[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    objects text[];
    exclusives boolean[];
BEGIN
    SELECT array_agg(e.object), array_agg(e.exclusive) INTO objects, exclusives FROM unnest(entries) AS e;
    PERFORM lockkeeper.lock_keys(objects, exclusives);
END $$;

CREATE OR REPLACE FUNCTION lockkeeper.lock_footprints(jobs bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    objects text[];
    exclusives boolean[];
BEGIN
    SELECT array_agg(f.object), array_agg(f.exclusive) INTO objects, exclusives
      FROM lockkeeper.ddl_job_footprint AS f WHERE f.job_id = ANY (jobs);
    PERFORM lockkeeper.lock_keys(objects, exclusives);
END $$;

-- As in 0005; and a submission that has the locks of before must not go on.
CREATE FUNCTION lockkeeper.need_keys() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('lockkeeper.locks', true) IS DISTINCT FROM 'keys' THEN
        RAISE EXCEPTION 'the queue was upgraded meanwhile' USING ERRCODE = 'serialization_failure';
    END IF;
END $$;
CREATE OR REPLACE FUNCTION lockkeeper.hold_floor() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM lockkeeper.need_keys();
    PERFORM pg_advisory_xact_lock_shared(1280009828, 0);
END $$;
CREATE OR REPLACE FUNCTION lockkeeper.lower_floor(jobs bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1280009828, 0);
    INSERT INTO lockkeeper.ddl_floor_lowered (pool, priority, job_id)
    SELECT j.pool, j.priority, min(j.id) FROM lockkeeper.ddl_job AS j
      JOIN lockkeeper.ddl_floor AS f ON f.pool = j.pool AND f.priority = j.priority
     WHERE j.id = ANY (jobs) AND j.id < f.floor GROUP BY j.pool, j.priority;
END $$;
CREATE OR REPLACE FUNCTION lockkeeper.lower_waits(granted bigint[]) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    made_ready bigint[];
BEGIN
    PERFORM lockkeeper.need_keys();
    IF granted = '{}' THEN RETURN 0; END IF;
    WITH counts AS (SELECT j AS id, count(*)::integer AS n FROM unnest(granted) AS t(j) GROUP BY j),
         lowered AS (UPDATE lockkeeper.ddl_job AS d SET waits = d.waits - c.n
                       FROM counts AS c WHERE d.id = c.id RETURNING d.id, d.waits)
    SELECT array_agg(id) FILTER (WHERE waits = 0) INTO made_ready FROM lowered;
    IF made_ready IS NULL THEN RETURN 0; END IF;
    PERFORM lockkeeper.lower_floor(made_ready);
    RETURN cardinality(made_ready);
END $$;

-- As in 0012, and inlined: a text that becomes a state at run time is not immutable.
CREATE OR REPLACE FUNCTION lockkeeper.state_before(action text) RETURNS lockkeeper.schema_state
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN action LIKE 'drop %' THEN 'public'::lockkeeper.schema_state ELSE 'none'::lockkeeper.schema_state END
$$;
CREATE OR REPLACE FUNCTION lockkeeper.state_after(action text, before lockkeeper.schema_state) RETURNS lockkeeper.schema_state
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN action LIKE 'drop %' OR before = 'delete only'::lockkeeper.schema_state
                THEN 'none'::lockkeeper.schema_state ELSE 'public'::lockkeeper.schema_state END
$$;

-- As claim of 0005, and gives the ids only.
CREATE FUNCTION lockkeeper.claim_ids(session_id integer, session_name text, process_id bigint, of_pool text, most integer)
RETURNS bigint[] LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    level record;
    head record;
    chosen bigint[];
BEGIN
    IF EXISTS (SELECT FROM lockkeeper.ddl_setting AS s
                WHERE (s.name = 'queue' AND s.value <> 'running') OR s.name = 'upgrade') THEN
        RETURN '{}';
    END IF;
    FOR level IN
        SELECT f.priority, least(f.floor, (SELECT l.job_id FROM lockkeeper.ddl_floor_lowered AS l
                                            WHERE l.pool = f.pool AND l.priority = f.priority
                                            ORDER BY l.job_id LIMIT 1)) AS floor
          FROM lockkeeper.ddl_floor AS f WHERE f.pool = of_pool ORDER BY f.priority DESC LOOP
        SELECT r.id, r.instant, r.crashes INTO head FROM lockkeeper.ddl_job AS r
         WHERE r.state = 'queueing' AND r.waits = 0 AND r.parsed
           AND r.pool = of_pool AND r.priority = level.priority AND r.id + 0 >= level.floor
           AND (r.retry_at IS NULL OR r.retry_at <= clock_timestamp())
         ORDER BY r.id + 0 LIMIT 1 FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        chosen := ARRAY[head.id];
        -- One by one, unless the others would have to wait anyway; what may bring its worker down,
        -- alone; instant jobs go together in another way.
        IF most > 1 AND NOT head.instant AND head.crashes = 0 AND EXISTS (
               SELECT FROM lockkeeper.ddl_job AS r
                WHERE r.state = 'queueing' AND r.waits = 0 AND r.parsed
                  AND r.pool = of_pool AND r.priority = level.priority AND r.id + 0 >= head.id
                ORDER BY r.id + 0 OFFSET 63 LIMIT 1) THEN
            chosen := chosen || ARRAY(
                SELECT r.id FROM lockkeeper.ddl_job AS r
                 WHERE r.state = 'queueing' AND r.waits = 0 AND r.parsed
                   AND r.pool = of_pool AND r.priority = level.priority AND r.id + 0 > head.id
                   AND r.retry_at IS NULL AND r.crashes = 0 AND NOT r.instant
                 ORDER BY r.id + 0 LIMIT most - 1 FOR UPDATE SKIP LOCKED);
        END IF;
        UPDATE lockkeeper.ddl_job AS j
           SET state = 'running', state_since = clock_timestamp(), epoch = j.epoch + 1,
               claimed_by = session_id, claimed_pid = pg_backend_pid(), worker = session_name,
               process = process_id, retry_at = NULL,
               started_at = coalesce(j.started_at, clock_timestamp())
         WHERE j.id = ANY (chosen);
        RETURN chosen;
    END LOOP;
    RETURN '{}';
END $$;
CREATE OR REPLACE FUNCTION lockkeeper.claim(session_id integer, session_name text, process_id bigint, of_pool text, most integer)
RETURNS SETOF lockkeeper.ddl_job LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    chosen bigint[] := lockkeeper.claim_ids(session_id, session_name, process_id, of_pool, most);
BEGIN
    RETURN QUERY SELECT j.* FROM lockkeeper.ddl_job AS j WHERE j.id = ANY (chosen);
END $$;

-- As in 0016, with these. `locked`: the transaction has called lock_footprints of them. From the version on, as little as there can be.
DROP FUNCTION lockkeeper.end_jobs(bigint[], bigint[], jsonb, integer, integer, text, bigint, text, boolean);
CREATE FUNCTION lockkeeper.end_jobs(the_jobs bigint[], epochs bigint[], done_steps jsonb,
    claims_most integer, session_id integer, session_name text, process_id bigint, of_pool text,
    anyway boolean DEFAULT false, locked boolean DEFAULT false)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
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
            next_jobs := lockkeeper.claim_ids(session_id, session_name, process_id, of_pool, claims_most);
        END IF;
        PERFORM set_config('lockkeeper.claimed', next_jobs::text, false);
        PERFORM set_config('lockkeeper.done', cardinality(the_jobs)::text, false);
        RETURN;
    END IF;
    IF NOT locked THEN PERFORM lockkeeper.lock_footprints(the_jobs); END IF;
    WITH gone AS (DELETE FROM lockkeeper.ddl_job_footprint AS f WHERE f.job_id = ANY (the_jobs)
                  RETURNING f.job_id, f.object, f.exclusive)
    SELECT array_agg(g.job_id), array_agg(g.object), array_agg(g.exclusive)
      INTO gone_jobs, gone_objects, gone_exclusives FROM gone AS g;
    IF EXISTS (SELECT FROM lockkeeper.ddl_job_footprint AS f
                WHERE f.object = ANY (gone_objects) AND NOT f.granted) THEN
        granted := lockkeeper.grant_next(gone_objects);
    END IF;
    SELECT count(*), count(*) FILTER (WHERE l.state = 'running' OR anyway), count(*) FILTER (WHERE l.changes_schema),
           bool_or(l.outside_started) INTO held, running, changing, outside
      FROM (SELECT j.id, j.epoch, j.claimed_by, j.state, j.changes_schema, j.outside_started
              FROM lockkeeper.ddl_job AS j WHERE j.id = ANY (the_jobs || granted) ORDER BY j.id
             -- All of them, whatever is asked of them outside.
            OFFSET 0 FOR UPDATE) AS l
     WHERE l.id = ANY (the_jobs) AND l.epoch = epochs[array_position(the_jobs, l.id)] AND l.claimed_by IS NOT NULL;
    IF held < cardinality(the_jobs) THEN RAISE EXCEPTION 'claim lost' USING ERRCODE = 'LK001'; END IF;
    IF running < held THEN RAISE EXCEPTION 'to be stopped' USING ERRCODE = 'LK002'; END IF;
    IF outside THEN DELETE FROM lockkeeper.ddl_step WHERE job_id = ANY (the_jobs); END IF;
    made_ready := lockkeeper.lower_waits(granted);
    IF claims_most > 0 THEN
        next_jobs := lockkeeper.claim_ids(session_id, session_name, process_id, of_pool, claims_most);
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
    gone AS (
        DELETE FROM lockkeeper.ddl_job AS j WHERE j.id = ANY (the_jobs)
        RETURNING j.id, j.schema_state, j.action, j.statements, j.role, j.search_path, j.settings, j.batch_id, j.batch_seq, j.key,
                  j.tries, j.epoch, j.worker, j.submitted_at, j.started_at, j.changes_schema),
    told AS (
        SELECT g.*, coalesce(t.objects, '{}') AS objects,
               CASE WHEN g.changes_schema THEN last_version - changing
                    + count(*) FILTER (WHERE g.changes_schema) OVER (ORDER BY g.id) END AS version
          FROM gone AS g LEFT JOIN touched AS t ON t.job_id = g.id),
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

-- A key is for submitting the same again, not for losing something else in silence. A password has another salt each time.
CREATE FUNCTION lockkeeper.need_same(the_key text, acting name, jobs jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    first record;
    wanted text[] := ARRAY(SELECT jsonb_array_elements_text(jobs->0->'statements'));
BEGIN
    SELECT f.id, f.role, f.statements INTO first
      FROM (SELECT j.id, j.role, j.statements FROM lockkeeper.ddl_job AS j WHERE j.key = the_key
            UNION ALL SELECT h.id, h.role, h.statements FROM lockkeeper.ddl_history AS h WHERE h.key = the_key) AS f;
    IF first.role <> acting THEN
        RAISE EXCEPTION 'key % was used by another role', quote_literal(the_key)
            USING ERRCODE = 'unique_violation', HINT = 'take another key';
    ELSIF first.statements <> wanted AND first.statements::text || wanted::text NOT LIKE '%SCRAM-SHA-256$%' THEN
        RAISE EXCEPTION 'key % was used for another statement, by job %', quote_literal(the_key), first.id
            USING ERRCODE = 'unique_violation', HINT = 'take another key, or see "lockkeeper show ' || first.id || '"';
    END IF;
END $$;

-- As in 0014, and says when nobody is there to run anything.
CREATE OR REPLACE FUNCTION lockkeeper.held_by_queue() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN coalesce(
        (SELECT CASE s.name WHEN 'queue' THEN '"set queue running"' ELSE '"upgrade end"' END FROM lockkeeper.ddl_setting AS s
          WHERE (s.name = 'queue' AND s.value <> 'running') OR s.name = 'upgrade' ORDER BY s.name DESC LIMIT 1),
        CASE WHEN NOT EXISTS (SELECT FROM lockkeeper.ddl_worker AS w WHERE w.lease_until > clock_timestamp())
             THEN 'a worker process' END);
END $$;

-- As in 0015. EXISTS became a table of all that is there, in a plan of the time when there was nothing.
CREATE OR REPLACE FUNCTION lockkeeper.enqueue(jobs jsonb, options jsonb)
RETURNS TABLE (id bigint, existing boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    acting name := lockkeeper.acting_role();
    the_key text := options->>'key';
    wanted integer := jsonb_array_length(jobs);
    batch bigint;
    seq integer := 0;
    entries lockkeeper.footprint_entry[];
    ids bigint[];
    refusing bigint;
    ready_pools text[];
BEGIN
    PERFORM lockkeeper.need_read_committed();
    IF the_key IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('lockkeeper key ' || the_key, 0));
        RETURN QUERY SELECT k, true FROM lockkeeper.jobs_of_key(the_key) AS k;
        IF FOUND THEN
            PERFORM lockkeeper.need_same(the_key, acting, jobs);
            RETURN;
        END IF;
    END IF;
    PERFORM lockkeeper.check_specs(jobs);
    IF options ? 'continues' THEN
        SELECT j.batch_id, (SELECT max(b.batch_seq) FROM lockkeeper.ddl_job AS b WHERE b.batch_id = j.batch_id)
          INTO STRICT batch, seq FROM lockkeeper.ddl_job AS j
         WHERE j.id = (options->>'continues')::bigint AND j.role = acting AND j.batch_id IS NOT NULL
           AND j.submitted_at >= transaction_timestamp()
           AND j.xmin::text = (pg_current_xact_id()::text::bigint & 4294967295)::text;
    ELSIF coalesce((options->>'batch')::boolean, wanted > 1) THEN
        batch := nextval('lockkeeper.ddl_batch_id_seq');
    END IF;
    WITH numbered AS (SELECT n::integer AS n, j FROM jsonb_array_elements(jobs) WITH ORDINALITY AS t(j, n)),
    paths AS (SELECT p.path AS setting, lockkeeper.path_schemas(p.path, acting) AS schemas
                FROM (SELECT DISTINCT j->>'search_path' FROM numbered) AS p(path)),
    resolved AS (
        SELECT n.n, f.object, f.exclusive
          FROM numbered AS n JOIN paths AS p ON p.setting = n.j->>'search_path',
               LATERAL lockkeeper.resolve_refs(n.j->'refs', p.schemas) AS f
        UNION ALL SELECT n, 'batch:' || batch, true FROM numbered WHERE batch IS NOT NULL)
    SELECT array_agg((r.n, r.object, r.exclusive)::lockkeeper.footprint_entry ORDER BY r.n)
      INTO entries FROM resolved AS r;
    IF coalesce((options->>'refuse_new')::boolean, false) THEN
        IF NOT EXISTS (SELECT FROM unnest(entries) AS e WHERE e.object = 'database' AND e.exclusive) THEN
            RAISE EXCEPTION 'only a job that takes the whole database may refuse others'
                USING ERRCODE = 'invalid_parameter_value', HINT = 'submit it with --as-barrier';
        ELSIF NOT pg_has_role(acting, current_user, 'MEMBER') THEN
            RAISE EXCEPTION 'only the owner of the queue may refuse new jobs'
                USING ERRCODE = 'insufficient_privilege';
        END IF;
    END IF;
    PERFORM lockkeeper.lock_objects(entries);
    PERFORM lockkeeper.hold_floor();
    SELECT min(j.id) INTO refusing FROM lockkeeper.ddl_job AS j WHERE j.refuses_new;
    IF refusing IS NOT NULL AND NOT options ? 'continues' THEN
        RAISE EXCEPTION 'job % takes the whole database and refuses new jobs until it has ended', refusing
            USING ERRCODE = 'object_in_use', HINT = 'see "lockkeeper jobs", and submit again later';
    END IF;
    ids := ARRAY(SELECT nextval('lockkeeper.ddl_job_id_seq') FROM generate_series(1, wanted));
    WITH numbered AS (SELECT n::integer AS n, j FROM jsonb_array_elements(jobs) WITH ORDINALITY AS t(j, n)),
    asked AS (SELECT ids[e.job] AS job_id, e.object, bool_or(e.exclusive) AS exclusive
                FROM unnest(entries) AS e GROUP BY 1, 2),
    standing AS (
        SELECT o.object,
               (SELECT true FROM lockkeeper.ddl_job_footprint AS f WHERE f.object = o.object LIMIT 1) IS NOT NULL AS used,
               (SELECT true FROM lockkeeper.ddl_job_footprint AS f
                 WHERE f.object = o.object AND f.exclusive LIMIT 1) IS NOT NULL AS used_exclusively
          FROM (SELECT DISTINCT a.object FROM asked AS a) AS o),
    ordered AS (
        SELECT a.job_id, a.object, a.exclusive,
               count(*) OVER before AS earlier,
               count(*) FILTER (WHERE a.exclusive) OVER before AS earlier_exclusive
          FROM asked AS a
        WINDOW before AS (PARTITION BY a.object ORDER BY a.job_id
                          ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)),
    added AS (
        INSERT INTO lockkeeper.ddl_job_footprint (object, job_id, exclusive, granted)
        SELECT o.object, o.job_id, o.exclusive,
               CASE WHEN o.exclusive THEN NOT s.used AND o.earlier = 0
                    ELSE NOT s.used_exclusively AND o.earlier_exclusive = 0 END
          FROM ordered AS o JOIN standing AS s ON s.object = o.object
        RETURNING job_id, granted),
    missing AS (SELECT a.job_id, (count(*) FILTER (WHERE NOT a.granted))::integer AS waits
                  FROM added AS a GROUP BY a.job_id),
    queued AS (
        INSERT INTO lockkeeper.ddl_job (id, waits, priority, pool, parsed, transactional, opaque,
            unparsed_run, changes_schema, instant, refuses_new, batch_id, batch_seq, on_error, key, action,
            statements, role, search_path, settings)
        SELECT ids[n.n], m.waits, coalesce((options->>'priority')::smallint, 0),
            coalesce(n.j->>'pool', 'general'), coalesce((n.j->>'parsed')::boolean, true),
            coalesce((n.j->>'transactional')::boolean, true), coalesce((n.j->>'opaque')::boolean, false),
            coalesce((n.j->>'unparsed_run')::boolean, false),
            coalesce((n.j->>'changes_schema')::boolean, true), coalesce((n.j->>'instant')::boolean, false),
            coalesce((options->>'refuse_new')::boolean, false), batch, CASE WHEN batch IS NULL THEN 1 ELSE seq + n.n END,
            coalesce(options->>'on_error', 'cancel'), CASE WHEN seq + n.n = 1 THEN the_key END,
            n.j->>'action', ARRAY(SELECT jsonb_array_elements_text(n.j->'statements')),
            acting, n.j->>'search_path', coalesce(n.j->'settings', '{}')
          FROM numbered AS n JOIN missing AS m ON m.job_id = ids[n.n]
        RETURNING pool, waits, parsed)
    SELECT array_agg(DISTINCT q.pool) INTO ready_pools FROM queued AS q WHERE q.waits = 0 OR NOT q.parsed;
    -- A chunk of a batch has at most one ready job; what it leaves ready is found by its workers.
    PERFORM pg_notify('lockkeeper_ready', p) FROM unnest(ready_pools) AS p;
    RETURN QUERY SELECT unnest(ids), false;
END $$;

-- As in 0016 and 0002. "IS NOT TRUE", so that the index of what waits is not taken: by job it can only be read from end to end, and a plan
-- of the time when nothing waited would.
CREATE OR REPLACE FUNCTION lockkeeper.fits(head lockkeeper.ddl_job, job lockkeeper.ddl_job) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN job.instant AND job.transactional AND job.state = 'queueing' AND job.parsed AND job.tries = 0 AND job.crashes = 0
       AND job.role = head.role AND job.search_path = head.search_path AND job.settings = head.settings
       AND NOT EXISTS (
           SELECT FROM lockkeeper.ddl_job_footprint AS f
             JOIN lockkeeper.ddl_job_footprint AS o ON o.object = f.object AND o.job_id < f.job_id AND (o.exclusive OR f.exclusive)
             JOIN lockkeeper.ddl_job AS b ON b.id = o.job_id
            WHERE f.job_id = job.id AND f.granted IS NOT TRUE AND f.object <> 'batch:' || head.batch_id
              AND b.batch_id IS DISTINCT FROM head.batch_id);
END $$;
CREATE OR REPLACE FUNCTION lockkeeper.dependency_id(job bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN (
    SELECT max(before.job_id)
      FROM lockkeeper.ddl_job_footprint AS mine, LATERAL (
          (SELECT o.job_id FROM lockkeeper.ddl_job_footprint AS o
            WHERE mine.exclusive AND o.object = mine.object AND o.job_id < mine.job_id
            ORDER BY o.job_id DESC LIMIT 1)
          UNION ALL
          (SELECT o.job_id FROM lockkeeper.ddl_job_footprint AS o
            WHERE NOT mine.exclusive AND o.object = mine.object AND o.job_id < mine.job_id
              AND o.exclusive ORDER BY o.job_id DESC LIMIT 1)) AS before
     WHERE mine.job_id = dependency_id.job AND mine.granted IS NOT TRUE);
END $$;

-- As in 0011; how old is old is asked once, and found by the index.
CREATE OR REPLACE FUNCTION lockkeeper.purge_diffs(most integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    old_before timestamptz := clock_timestamp() - lockkeeper.setting('diff_hours')::integer * interval '1 hour';
    purged integer;
BEGIN
    DELETE FROM lockkeeper.ddl_mdl_info AS m
     WHERE NOT EXISTS (SELECT FROM lockkeeper.ddl_job AS j WHERE j.id = m.job_id);
    DELETE FROM lockkeeper.ddl_node_ack AS a
     WHERE NOT EXISTS (SELECT FROM lockkeeper.ddl_mdl_info AS m WHERE m.job_id = a.job_id);
    WITH old AS (SELECT d.version FROM lockkeeper.ddl_schema_diff AS d WHERE d.made_at < old_before
                  ORDER BY d.made_at LIMIT most FOR UPDATE SKIP LOCKED),
    gone AS (DELETE FROM lockkeeper.ddl_schema_diff AS d USING old WHERE d.version = old.version RETURNING d.version)
    SELECT count(*) INTO purged FROM gone;
    RETURN purged;
END $$;

REVOKE ALL ON FUNCTION lockkeeper.lock_keys(text[], boolean[]), lockkeeper.need_keys(),
    lockkeeper.need_same(text, name, jsonb),
    lockkeeper.claim_ids(integer, text, bigint, text, integer),
    lockkeeper.end_jobs(bigint[], bigint[], jsonb, integer, integer, text, bigint, text, boolean, boolean) FROM PUBLIC;
