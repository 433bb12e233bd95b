-- What many jobs need: settings, pools, a floor under the claim, ends of many jobs at once.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (5, 'scale');

-- Settings of this queue, read while it runs. A setting without a row has its default.
CREATE TABLE lockkeeper.ddl_setting (
    name       text PRIMARY KEY,
    value      text NOT NULL,
    changed_by name NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

ALTER TABLE lockkeeper.ddl_job
    ADD COLUMN instant boolean NOT NULL DEFAULT false,     -- locks nothing that applications use
    ADD COLUMN refuses_new boolean NOT NULL DEFAULT false, -- no submissions until it has ended
    ADD COLUMN process bigint,                             -- ddl_worker of the claim
    ADD COLUMN outside_pid integer,                        -- backend that runs it outside a transaction
    ADD COLUMN paused_by text,
    ADD CONSTRAINT known_paused_by CHECK (paused_by IN ('user', 'system', 'crashes')),
    ADD CONSTRAINT paused_by_somebody CHECK (
        (state IN ('paused', 'pausing')) = (paused_by IS NOT NULL));
DROP INDEX lockkeeper.ddl_job_ready;
-- "id + 0", so that no other index can give this order: which one a claim reads must not depend on
-- statistics, which are wrong after every batch (jit off: without seqscan all costs look huge).
CREATE INDEX ddl_job_ready ON lockkeeper.ddl_job (pool, priority, (id + 0))
    WHERE state = 'queueing' AND waits = 0 AND parsed;
CREATE INDEX ddl_job_footprint_granted ON lockkeeper.ddl_job_footprint (object) WHERE granted;
CREATE INDEX ddl_job_refuses_new ON lockkeeper.ddl_job (id) WHERE refuses_new;
CREATE INDEX ddl_job_retry ON lockkeeper.ddl_job (retry_at) WHERE retry_at IS NOT NULL;

-- Processes that run jobs. Their sessions die with the connection; a process that was stopped, or
-- cut off without its connections being closed, is told by its lease (server time).
CREATE TABLE lockkeeper.ddl_worker (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL,
    lease_until timestamptz NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- A safe lower bound of the ids that can be ready, by pool and priority: a claim starts its scan
-- there, so that dead rows that cannot be vacuumed (a transaction is open for hours) are not read
-- again by every claim. Raised by raise_floor alone, lowered by whatever makes an older job ready.
CREATE TABLE lockkeeper.ddl_floor (
    pool     text NOT NULL,
    priority smallint NOT NULL,
    floor    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (pool, priority)
) WITH (fillfactor = 50, autovacuum_vacuum_cost_delay = 0);
INSERT INTO lockkeeper.ddl_floor (pool, priority)
SELECT pool, priority FROM (VALUES ('general'), ('reorg')) AS p(pool), generate_series(-1, 1) AS priority;
ALTER TABLE lockkeeper.ddl_job ADD CONSTRAINT known_priority CHECK (priority BETWEEN -1 AND 1);

-- Ready jobs below the floor, until it is set anew: appended, because a row that is updated would make
-- everybody wait for whoever resumes a job and leaves the transaction open.
CREATE TABLE lockkeeper.ddl_floor_lowered (
    pool     text NOT NULL,
    priority smallint NOT NULL,
    job_id   bigint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX ddl_floor_lowered_level ON lockkeeper.ddl_floor_lowered (pool, priority, job_id);

-- Shared by everything that draws ids or makes jobs ready, until its commit. 1280009828 = 'LKfd'.
CREATE FUNCTION lockkeeper.hold_floor() RETURNS void
LANGUAGE sql AS $$ SELECT pg_catalog.pg_advisory_xact_lock_shared(1280009828, 0) $$;

-- Jobs became ready: the floor may not be above them.
CREATE FUNCTION lockkeeper.lower_floor(jobs bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM lockkeeper.hold_floor();
    INSERT INTO lockkeeper.ddl_floor_lowered (pool, priority, job_id)
    SELECT j.pool, j.priority, min(j.id) FROM lockkeeper.ddl_job AS j
      JOIN lockkeeper.ddl_floor AS f ON f.pool = j.pool AND f.priority = j.priority
     WHERE j.id = ANY (jobs) AND j.id < f.floor GROUP BY j.pool, j.priority;
END $$;

-- The floor that holds now for a level.
CREATE FUNCTION lockkeeper.floor_of(level lockkeeper.ddl_floor) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT least(level.floor, (SELECT l.job_id FROM lockkeeper.ddl_floor_lowered AS l
                                WHERE l.pool = level.pool AND l.priority = level.priority
                                ORDER BY l.job_id LIMIT 1))
$$;

-- Raises the floors to the first job that is ready now. Alone for a moment: whatever drew an id or
-- made a job ready has committed, and what comes later either has a larger id or lowers the floor.
-- Waits no longer than lock_timeout of the caller.
CREATE FUNCTION lockkeeper.raise_floor() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    next_id bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(1280009828, 0);
    SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END INTO next_id
      FROM lockkeeper.ddl_job_id_seq;
    UPDATE lockkeeper.ddl_floor AS f SET floor = r.least_id
      FROM (SELECT p.pool, p.priority, least(next_id, (
                SELECT j.id FROM lockkeeper.ddl_job AS j
                 WHERE j.pool = p.pool AND j.priority = p.priority AND j.id + 0 >= lockkeeper.floor_of(p)
                   AND j.state = 'queueing' AND j.waits = 0 AND j.parsed
                 ORDER BY j.id + 0 LIMIT 1)) AS least_id
              FROM lockkeeper.ddl_floor AS p) AS r
     WHERE f.pool = r.pool AND f.priority = r.priority
       AND (r.least_id > f.floor + 200 OR r.least_id < f.floor);
    DELETE FROM lockkeeper.ddl_floor_lowered;
END $$;

-- Everything that moves jobs takes its locks in one order, so that no two of them can wait for each other:
--   1. the stripes of the objects (all that it needs, at once), 2. rows of the footprint, 3. rows of
--   jobs by id, all of them at once, 4. the floor, 5. the row of the schema version.
-- A claim takes rows of jobs at any point, but waits for none.

-- Grants what became free on objects after rows of the footprint went. Gives the jobs, each as often as it was
-- granted something; the caller locks their rows, and calls lower_waits. An exclusive waiter is granted
-- when nothing granted is left; shared ones up to the next exclusive one (promise 3).
CREATE FUNCTION lockkeeper.grant_next(freed text[]) RETURNS bigint[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    head record;
    held_exclusively boolean;
    barrier bigint;
    granted_jobs bigint[] := '{}';
    newly bigint[];
BEGIN
    FOR head IN
        SELECT k.object, w.job_id, w.exclusive
          FROM (SELECT DISTINCT o FROM unnest(freed) AS t(o)) AS k(object),
               LATERAL (SELECT f.job_id, f.exclusive FROM lockkeeper.ddl_job_footprint AS f
                         WHERE f.object = k.object AND NOT f.granted ORDER BY f.job_id LIMIT 1) AS w
         ORDER BY k.object
    LOOP
        IF head.exclusive THEN
            -- The row lock makes one of several finishers that share the object the last one.
            PERFORM FROM lockkeeper.ddl_job_footprint AS f
              WHERE f.object = head.object AND f.job_id = head.job_id FOR UPDATE;
        END IF;
        -- What is granted on an object is one exclusive row or shared ones: any of them tells.
        SELECT f.exclusive INTO held_exclusively FROM lockkeeper.ddl_job_footprint AS f
         WHERE f.object = head.object AND f.granted LIMIT 1;
        IF head.exclusive THEN
            CONTINUE WHEN held_exclusively IS NOT NULL;
            UPDATE lockkeeper.ddl_job_footprint AS f SET granted = true
             WHERE f.object = head.object AND f.job_id = head.job_id AND NOT f.granted;
            IF FOUND THEN granted_jobs := granted_jobs || head.job_id; END IF;
        ELSIF held_exclusively IS NOT TRUE THEN
            SELECT f.job_id INTO barrier FROM lockkeeper.ddl_job_footprint AS f
             WHERE f.object = head.object AND f.exclusive ORDER BY f.job_id LIMIT 1;
            WITH granting AS (
                UPDATE lockkeeper.ddl_job_footprint AS f SET granted = true
                 WHERE f.object = head.object AND NOT f.granted
                   AND f.job_id < coalesce(barrier, 9223372036854775807)
                RETURNING f.job_id)
            SELECT coalesce(array_agg(job_id), '{}') INTO newly FROM granting;
            granted_jobs := granted_jobs || newly;
        END IF;
    END LOOP;
    RETURN granted_jobs;
END $$;

-- After grant_next, with the rows of the jobs locked: gives the number of jobs that became ready.
CREATE FUNCTION lockkeeper.lower_waits(granted bigint[]) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    made_ready bigint[];
BEGIN
    IF granted = '{}' THEN RETURN 0; END IF;
    WITH counts AS (SELECT j AS id, count(*)::integer AS n FROM unnest(granted) AS t(j) GROUP BY j),
         lowered AS (UPDATE lockkeeper.ddl_job AS d SET waits = d.waits - c.n
                       FROM counts AS c WHERE d.id = c.id RETURNING d.id, d.waits)
    SELECT array_agg(id) FILTER (WHERE waits = 0) INTO made_ready FROM lowered;
    IF made_ready IS NULL THEN RETURN 0; END IF;
    PERFORM lockkeeper.lower_floor(made_ready);
    RETURN cardinality(made_ready);
END $$;

-- As in 0002, in one query.
CREATE OR REPLACE FUNCTION lockkeeper.lock_objects(entries lockkeeper.footprint_entry[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM CASE WHEN s.excl THEN pg_advisory_xact_lock(1280009593, s.stripe)
                 ELSE pg_advisory_xact_lock_shared(1280009593, s.stripe) END
       FROM (SELECT hashtext(e.object) & 1023 AS stripe, bool_or(e.exclusive) AS excl
               FROM unnest(entries) AS e GROUP BY 1 ORDER BY 1) AS s;
END $$;

-- The same for the objects of jobs that are in the queue.
CREATE FUNCTION lockkeeper.lock_footprints(jobs bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
BEGIN
    PERFORM CASE WHEN s.excl THEN pg_advisory_xact_lock(1280009593, s.stripe)
                 ELSE pg_advisory_xact_lock_shared(1280009593, s.stripe) END
       FROM (SELECT hashtext(f.object) & 1023 AS stripe, bool_or(f.exclusive) AS excl
               FROM lockkeeper.ddl_job_footprint AS f WHERE f.job_id = ANY (jobs)
              GROUP BY 1 ORDER BY 1) AS s;
END $$;

-- Backends of workers. Code of a job that calls a function of the queue in one of them would act as the
-- worker: it is refused (acting_role). Rows stay while their backend lives; jobs cannot reach them.
CREATE TABLE lockkeeper.ddl_session (
    pid     integer PRIMARY KEY,
    started timestamptz NOT NULL,
    login   name NOT NULL
);
CREATE FUNCTION lockkeeper.register_session() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM lockkeeper.ddl_session AS s
     WHERE s.login = session_user AND NOT EXISTS (
           SELECT FROM pg_stat_activity AS a WHERE a.pid = s.pid AND a.backend_start = s.started);
    INSERT INTO lockkeeper.ddl_session (pid, started, login)
    SELECT a.pid, a.backend_start, session_user FROM pg_stat_activity AS a WHERE a.pid = pg_backend_pid()
    ON CONFLICT (pid) DO UPDATE SET started = excluded.started, login = excluded.login;
END $$;

-- As in 0002, but nobody inside of a job: there the role that submitted it is not to be seen, and the
-- session's is the worker's.
CREATE OR REPLACE FUNCTION lockkeeper.acting_role() RETURNS name
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM lockkeeper.ddl_session AS s
                WHERE s.pid = pg_backend_pid() AND s.login = session_user AND coalesce(s.started = (
                      SELECT a.backend_start FROM pg_stat_activity AS a WHERE a.pid = s.pid), true)) THEN
        RAISE EXCEPTION 'a job cannot submit or steer jobs' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN CASE WHEN current_setting('role') = 'none' THEN session_user
                ELSE current_setting('role')::name END;
END $$;

-- With an older snapshot the queue would be read as it was before its locks were taken.
CREATE FUNCTION lockkeeper.need_read_committed() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'the queue works in READ COMMITTED transactions only'
            USING ERRCODE = 'invalid_transaction_state',
                  HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED, or set default_transaction_isolation';
    END IF;
END $$;

-- As in 0003; settings are those that change what a statement means, never those that change whose
-- rights it has or how long it waits (promises 9, 12).
CREATE OR REPLACE FUNCTION lockkeeper.check_specs(jobs jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    spec jsonb;
BEGIN
    FOR spec IN SELECT j FROM jsonb_array_elements(jobs) AS t(j) LOOP
        IF coalesce(jsonb_typeof(spec->'statements'), '') <> 'array'
           OR jsonb_array_length(spec->'statements') = 0
           OR EXISTS (SELECT FROM jsonb_array_elements(spec->'statements') AS s(e)
                       WHERE jsonb_typeof(e) <> 'string')
           OR coalesce(jsonb_typeof(spec->'refs'), '') <> 'array'
           OR spec->>'search_path' IS NULL OR spec->>'action' IS NULL
           OR (NOT coalesce((spec->>'transactional')::boolean, true)
               AND jsonb_array_length(spec->'statements') > 1)
           OR coalesce(jsonb_typeof(spec->'settings'), 'object') <> 'object'
           OR EXISTS (SELECT FROM jsonb_each(coalesce(spec->'settings', '{}')) AS s
                       WHERE jsonb_typeof(s.value) <> 'string'
                          OR lower(s.key) IN ('role', 'session_authorization', 'lock_timeout',
                                 'search_path', 'synchronous_commit')
                          OR lower(s.key) ~ '^(default_)?transaction_|^lockkeeper\.') THEN
            RAISE EXCEPTION 'not a job specification' USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;
END $$;

-- Puts parsed statements into the queue, in order, as one transaction, with set-based SQL: a chunk
-- of thousands costs a few statements. jobs: an array of {action, statements, refs, transactional,
-- pool, opaque, changes_schema, instant, search_path, settings, unparsed_run, parsed}; options:
-- {on_error, key, priority, refuse_new, batch, continues}. More than one job makes a batch, whose
-- jobs follow each other; `continues`: the id of a job of the same transaction, to whose batch these
-- belong; `batch`: true makes one of a single job, to be continued. Gives the ids; `existing` when
-- the key was used before.
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
    ready_pool text;
BEGIN
    PERFORM lockkeeper.need_read_committed();
    IF the_key IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('lockkeeper key ' || the_key, 0));
        RETURN QUERY SELECT k, true FROM lockkeeper.jobs_of_key(the_key) AS k;
        IF FOUND THEN RETURN; END IF;
    END IF;
    PERFORM lockkeeper.check_specs(jobs);
    IF options ? 'continues' THEN
        SELECT j.batch_id, (SELECT max(b.batch_seq) FROM lockkeeper.ddl_job AS b WHERE b.batch_id = j.batch_id)
          INTO STRICT batch, seq FROM lockkeeper.ddl_job AS j
         WHERE j.id = (options->>'continues')::bigint AND j.role = acting AND j.batch_id IS NOT NULL
           AND j.submitted_at >= transaction_timestamp()
           AND j.xmin::text = (pg_current_xact_id()::text::bigint & 4294967295)::text;
    ELSIF wanted > 1 OR coalesce((options->>'batch')::boolean, false) THEN
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
        SELECT o.object, EXISTS (SELECT FROM lockkeeper.ddl_job_footprint AS f WHERE f.object = o.object) AS used,
               EXISTS (SELECT FROM lockkeeper.ddl_job_footprint AS f
                        WHERE f.object = o.object AND f.exclusive) AS used_exclusively
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
            coalesce((options->>'refuse_new')::boolean, false), batch, seq + n.n,
            coalesce(options->>'on_error', 'cancel'), CASE WHEN seq + n.n = 1 THEN the_key END,
            n.j->>'action', ARRAY(SELECT jsonb_array_elements_text(n.j->'statements')),
            acting, n.j->>'search_path', coalesce(n.j->'settings', '{}')
          FROM numbered AS n JOIN missing AS m ON m.job_id = ids[n.n]
        RETURNING pool, waits, parsed)
    SELECT min(q.pool) INTO ready_pool FROM queued AS q WHERE q.waits = 0 OR NOT q.parsed;
    -- A chunk of a batch has at most one ready job; what it leaves ready is found by its workers.
    IF ready_pool IS NOT NULL THEN PERFORM pg_notify('lockkeeper_ready', ready_pool); END IF;
    RETURN QUERY SELECT unnest(ids), false;
END $$;

-- Of somebody who looks for a job that is still text: nothing is granted the database meanwhile.
CREATE FUNCTION lockkeeper.lock_barrier() RETURNS void
LANGUAGE sql AS $$
    SELECT lockkeeper.lock_objects(ARRAY[(0, 'database', true)::lockkeeper.footprint_entry])
$$;

-- A worker has parsed a job from psql: its footprint replaces the barrier, under the same id. Later
-- jobs that were granted an object that this one wants lose it again: none of them can have started,
-- because each still waits for the database. The caller has called lock_barrier and locked the job.
CREATE OR REPLACE FUNCTION lockkeeper.file_parsed(parsed_job bigint, spec jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job;
    entries lockkeeper.footprint_entry[];
    taken_back bigint[];
    granted bigint[];
    missing integer;
BEGIN
    SELECT * INTO STRICT job FROM lockkeeper.ddl_job WHERE id = parsed_job;
    SELECT array_agg((0, r.object, r.exclusive)::lockkeeper.footprint_entry) INTO entries
      FROM (SELECT f.object, bool_or(f.exclusive) AS exclusive FROM lockkeeper.resolve_refs(
                spec->'refs', lockkeeper.path_schemas(job.search_path, job.role)) AS f GROUP BY f.object) AS r;
    DELETE FROM lockkeeper.ddl_job_footprint WHERE job_id = parsed_job;
    WITH back AS (
        UPDATE lockkeeper.ddl_job_footprint AS f SET granted = false FROM unnest(entries) AS w
         WHERE f.object = w.object AND f.job_id > parsed_job AND f.granted
           AND (f.exclusive OR w.exclusive) RETURNING f.job_id)
    SELECT coalesce(array_agg(job_id), '{}') INTO taken_back FROM back;
    WITH added AS (
        INSERT INTO lockkeeper.ddl_job_footprint (object, job_id, exclusive, granted)
        SELECT w.object, parsed_job, w.exclusive, NOT EXISTS (
                   SELECT FROM lockkeeper.ddl_job_footprint AS f
                    WHERE f.object = w.object AND f.job_id < parsed_job
                      AND (f.exclusive OR w.exclusive))
          FROM unnest(entries) AS w RETURNING ddl_job_footprint.granted AS at_once)
    SELECT count(*) FILTER (WHERE NOT a.at_once) INTO missing FROM added AS a;
    granted := lockkeeper.grant_next(ARRAY['database']);
    -- All of them are later ones, so that the order of the locks holds.
    PERFORM FROM lockkeeper.ddl_job WHERE id = ANY (taken_back || granted) ORDER BY id FOR UPDATE;
    UPDATE lockkeeper.ddl_job AS d SET waits = d.waits + c.n
      FROM (SELECT j AS id, count(*)::integer AS n FROM unnest(taken_back) AS t(j) GROUP BY j) AS c
     WHERE d.id = c.id;
    UPDATE lockkeeper.ddl_job SET parsed = true, waits = missing, action = spec->>'action',
           pool = coalesce(spec->>'pool', 'general'),
           transactional = coalesce((spec->>'transactional')::boolean, true),
           opaque = coalesce((spec->>'opaque')::boolean, false),
           instant = coalesce((spec->>'instant')::boolean, false),
           changes_schema = coalesce((spec->>'changes_schema')::boolean, true)
     WHERE id = parsed_job;
    PERFORM lockkeeper.lower_waits(granted);
    PERFORM lockkeeper.lower_floor(ARRAY[parsed_job]);
    PERFORM pg_notify('lockkeeper_ready', '');
END $$;

-- Claims the ready job of the highest priority and lowest id in a pool: no row, nothing is ready. With a
-- long queue of ready jobs up to `most` at once, in the order in which they are to run. Row locks only,
-- SKIP LOCKED. Reads ddl_job_ready from its floor on, whatever the backlog.
CREATE FUNCTION lockkeeper.claim(session_id integer, session_name text, process_id bigint, of_pool text,
                                 most integer)
RETURNS SETOF lockkeeper.ddl_job
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    level record;
    head record;
    chosen bigint[];
BEGIN
    IF EXISTS (SELECT FROM lockkeeper.ddl_setting AS s
                WHERE (s.name = 'queue' AND s.value <> 'running') OR s.name = 'upgrade') THEN
        RETURN;
    END IF;
    FOR level IN SELECT f.priority, lockkeeper.floor_of(f) AS floor FROM lockkeeper.ddl_floor AS f
                  WHERE f.pool = of_pool ORDER BY f.priority DESC LOOP
        SELECT r.id, r.instant, r.crashes INTO head FROM lockkeeper.ddl_job AS r
         WHERE r.state = 'queueing' AND r.waits = 0 AND r.parsed
           AND r.pool = of_pool AND r.priority = level.priority AND r.id + 0 >= level.floor
           AND (r.retry_at IS NULL OR r.retry_at <= clock_timestamp())
         ORDER BY r.id + 0 LIMIT 1 FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        chosen := ARRAY[head.id];
        -- One by one, unless the others would have to wait anyway; what may bring its worker down,
        -- alone; instant jobs go together in another way.
        IF most > 1 AND NOT head.instant AND head.crashes = 0 AND (SELECT count(*) FROM (
               SELECT FROM lockkeeper.ddl_job AS r
                WHERE r.state = 'queueing' AND r.waits = 0 AND r.parsed
                  AND r.pool = of_pool AND r.priority = level.priority AND r.id + 0 >= level.floor
                ORDER BY r.id + 0 LIMIT 64) AS backlog) = 64 THEN
            chosen := chosen || ARRAY(
                SELECT r.id FROM lockkeeper.ddl_job AS r
                 WHERE r.state = 'queueing' AND r.waits = 0 AND r.parsed
                   AND r.pool = of_pool AND r.priority = level.priority AND r.id + 0 > head.id
                   AND r.retry_at IS NULL AND r.crashes = 0 AND NOT r.instant
                 ORDER BY r.id + 0 LIMIT most - 1 FOR UPDATE SKIP LOCKED);
        END IF;
        RETURN QUERY
        UPDATE lockkeeper.ddl_job AS j
           SET state = 'running', state_since = clock_timestamp(), epoch = j.epoch + 1,
               claimed_by = session_id, claimed_pid = pg_backend_pid(), worker = session_name,
               process = process_id, retry_at = NULL,
               started_at = coalesce(j.started_at, clock_timestamp())
         WHERE j.id = ANY (chosen) RETURNING j.*;
        RETURN;
    END LOOP;
END $$;

-- Ends jobs well, in the transaction of their changes, if all claims still hold and nobody wants one
-- stopped (promises 1, 2, 4), and claims the next jobs, claims_most of them at most. Errors: LK001, somebody else has
-- one; LK002, one is to be cancelled or paused (`anyway`: too late, it ends well). Whoever calls it sends COMMIT in the same message, and
-- reads what it claimed afterwards: from the lock of the version to the commit all changes of the
-- schema follow each other, and no round trip to a client may be in between. Settings of the
-- session tell lockkeeper.made_ready: how many jobs became ready since it was read, and
-- lockkeeper.claimed: ids.
CREATE FUNCTION lockkeeper.end_jobs(the_jobs bigint[], epochs bigint[], done_steps jsonb,
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
        INSERT INTO lockkeeper.ddl_schema_diff (version, job_id, action, state_from, state_to, objects)
        SELECT t.version, t.id, t.action, t.schema_state, 'public', t.objects
          FROM told AS t WHERE t.version IS NOT NULL)
    INSERT INTO lockkeeper.ddl_history (id, state, schema_state, action, statements, objects, role,
        search_path, settings, batch_id, batch_seq, key, tries, epoch, worker, error, steps,
        schema_version, submitted_at, started_at, ended_at)
    SELECT t.id, 'synced', 'public', t.action, t.statements, t.objects, t.role, t.search_path, t.settings,
           t.batch_id, t.batch_seq, t.key, t.tries, t.epoch, t.worker, NULL, done_steps, t.version,
           t.submitted_at, t.started_at, ended_now FROM told AS t;
END $$;
