-- A job may be submitted for a role that the submitter is a member of: SET ROLE in a migration file.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name, breaking) VALUES (18, 'roles', false);

-- As SET ROLE would refuse it (PostgreSQL manual, SET ROLE; from 16 on with the SET option of the membership). At submission a role may
-- be missing: a job before it may make it. Before the job runs it is looked at again.
CREATE FUNCTION lockkeeper.need_roles(acting name, jobs jsonb, missing_ok boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    needed text := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END;
    wanted text := (SELECT j->>'role' FROM jsonb_array_elements(jobs) AS t(j)
                     WHERE j->>'role' <> acting
                       AND CASE WHEN missing_ok AND NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = j->>'role') THEN false
                                ELSE NOT pg_has_role(acting, (j->>'role')::name, needed) END LIMIT 1);
BEGIN
    IF wanted IS NOT NULL THEN
        RAISE EXCEPTION 'role % may not SET ROLE %', quote_ident(acting), quote_ident(wanted)
            USING ERRCODE = 'insufficient_privilege',
                  HINT = format('GRANT %I TO %I', wanted, acting);
    END IF;
END $$;

-- For the worker, before a job of another role than its submitter's: may it still?
CREATE FUNCTION lockkeeper.need_submitter(the_job bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job := (SELECT j FROM lockkeeper.ddl_job AS j WHERE j.id = the_job);
BEGIN
    PERFORM lockkeeper.need_roles((job.settings->>'lockkeeper.submitter')::name, jsonb_build_array(jsonb_build_object('role', job.role)), false)
      WHERE job.settings ? 'lockkeeper.submitter';
END $$;

-- As in 0017, with the role that the statement is to run as.
CREATE OR REPLACE FUNCTION lockkeeper.need_same(the_key text, acting name, jobs jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    first record;
    wanted text[] := ARRAY(SELECT jsonb_array_elements_text(jobs->0->'statements'));
BEGIN
    SELECT f.id, f.role, f.statements INTO first
      FROM (SELECT j.id, j.role, j.statements FROM lockkeeper.ddl_job AS j WHERE j.key = the_key
            UNION ALL SELECT h.id, h.role, h.statements FROM lockkeeper.ddl_history AS h WHERE h.key = the_key) AS f;
    IF first.role <> coalesce((jobs->0->>'role')::name, acting) THEN
        RAISE EXCEPTION 'key % was used by another role', quote_literal(the_key)
            USING ERRCODE = 'unique_violation', HINT = 'take another key';
    ELSIF first.statements <> wanted AND first.statements::text || wanted::text NOT LIKE '%SCRAM-SHA-256$%' THEN
        RAISE EXCEPTION 'key % was used for another statement, by job %', quote_literal(the_key), first.id
            USING ERRCODE = 'unique_violation', HINT = 'take another key, or see "lockkeeper show ' || first.id || '"';
    END IF;
END $$;

-- As in 0010, and an empty text is told at once.
CREATE OR REPLACE FUNCTION lockkeeper.check_specs(jobs jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    spec jsonb;
BEGIN
    FOR spec IN SELECT j FROM jsonb_array_elements(jobs) AS t(j) LOOP
        IF spec->>'action' IN ('unparsed', 'barrier') AND coalesce(spec->'statements'->>0, '') !~ '\S' THEN
            RAISE EXCEPTION 'there is no statement' USING ERRCODE = 'invalid_parameter_value',
                HINT = 'SELECT lockkeeper.submit(''ALTER TABLE …'')';
        END IF;
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
                          OR lower(s.key) ~ '^(default_)?transaction_'
                          OR lower(s.key) ~ '^lockkeeper\.' AND NOT lockkeeper.is_tuning(s.key, s.value #>> '{}')) THEN
            RAISE EXCEPTION 'not a job specification' USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;
END $$;

-- As in 0017, with a role for each job. A chunk continues what its own transaction has begun: xmin says whose it is.
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
    PERFORM lockkeeper.need_roles(acting, jobs, true);
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
         WHERE j.id = (options->>'continues')::bigint AND j.batch_id IS NOT NULL
           AND j.submitted_at >= transaction_timestamp()
           AND j.xmin::text = (pg_current_xact_id()::text::bigint & 4294967295)::text;
    ELSIF coalesce((options->>'batch')::boolean, wanted > 1) THEN
        batch := nextval('lockkeeper.ddl_batch_id_seq');
    END IF;
    WITH numbered AS (SELECT n::integer AS n, j FROM jsonb_array_elements(jobs) WITH ORDINALITY AS t(j, n)),
    paths AS (SELECT p.path AS setting, p.role, lockkeeper.path_schemas(p.path, p.role) AS schemas
                FROM (SELECT DISTINCT j->>'search_path', coalesce((j->>'role')::name, acting) FROM numbered) AS p(path, role)),
    resolved AS (
        SELECT n.n, f.object, f.exclusive
          FROM numbered AS n JOIN paths AS p ON p.setting = n.j->>'search_path' AND p.role = coalesce((n.j->>'role')::name, acting),
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
            coalesce((n.j->>'role')::name, acting), n.j->>'search_path',
            coalesce(n.j->'settings', '{}') || CASE WHEN n.j->>'role' <> acting
                THEN jsonb_build_object('lockkeeper.submitter', acting) ELSE '{}' END
          FROM numbered AS n JOIN missing AS m ON m.job_id = ids[n.n]
        RETURNING pool, waits, parsed)
    SELECT array_agg(DISTINCT q.pool) INTO ready_pools FROM queued AS q WHERE q.waits = 0 OR NOT q.parsed;
    -- A chunk of a batch has at most one ready job; what it leaves ready is found by its workers.
    PERFORM pg_notify('lockkeeper_ready', p) FROM unnest(ready_pools) AS p;
    RETURN QUERY SELECT unnest(ids), false;
END $$;

REVOKE ALL ON FUNCTION lockkeeper.need_roles(name, jsonb, boolean), lockkeeper.need_submitter(bigint) FROM PUBLIC;
