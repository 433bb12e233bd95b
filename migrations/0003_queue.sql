-- Submission, end, cancel: the only functions that move jobs.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (3, 'queue');

-- Settings that change what a statement means, as the caller has them (promise 12).
CREATE FUNCTION lockkeeper.statement_settings() RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT pg_catalog.jsonb_object_agg(name, pg_catalog.current_setting(name, true))
      FROM pg_catalog.unnest(ARRAY['array_nulls', 'bytea_output', 'check_function_bodies', 'datestyle',
        'default_table_access_method', 'default_tablespace', 'default_text_search_config',
        'default_toast_compression', 'extra_float_digits', 'intervalstyle', 'row_security',
        'timezone', 'transform_null_equals', 'xmlbinary', 'xmloption']) AS t(name)
     WHERE pg_catalog.current_setting(name, true) IS NOT NULL
$$;

-- Jobs of an earlier submission with this key, or none.
CREATE FUNCTION lockkeeper.jobs_of_key(wanted text) RETURNS SETOF bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    WITH first AS (SELECT id, batch_id FROM lockkeeper.ddl_job WHERE key = wanted
                   UNION ALL SELECT id, batch_id FROM lockkeeper.ddl_history WHERE key = wanted)
    SELECT id FROM first
    UNION SELECT j.id FROM first AS f JOIN lockkeeper.ddl_job AS j ON j.batch_id = f.batch_id
    UNION SELECT h.id FROM first AS f JOIN lockkeeper.ddl_history AS h ON h.batch_id = f.batch_id
    ORDER BY 1
$$;

-- Anybody who may submit may call enqueue with anything: what a worker could not read is refused here.
CREATE FUNCTION lockkeeper.check_specs(jobs jsonb) RETURNS void
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
                       WHERE jsonb_typeof(s.value) <> 'string') THEN
            RAISE EXCEPTION 'not a job specification' USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;
END $$;

-- Puts parsed statements into the queue, in order, as one transaction. jobs: an array of
-- {action, statements, refs, transactional, pool, opaque, changes_schema, search_path, settings,
--  unparsed_run, parsed}; options: {on_error, key, priority}. More than one job makes a batch, whose
-- jobs follow each other. Gives the ids; `existing` when the key was used before.
CREATE FUNCTION lockkeeper.enqueue(jobs jsonb, options jsonb)
RETURNS TABLE (id bigint, existing boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    acting name := lockkeeper.acting_role();
    the_key text := options->>'key';
    batch bigint;
    entries lockkeeper.footprint_entry[];
    spec jsonb;
    seq integer := 0;
    missing integer;
    any_ready boolean := false;
BEGIN
    IF the_key IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('lockkeeper key ' || the_key, 0));
        RETURN QUERY SELECT k, true FROM lockkeeper.jobs_of_key(the_key) AS k;
        IF FOUND THEN RETURN; END IF;
    END IF;
    PERFORM lockkeeper.check_specs(jobs);
    IF jsonb_array_length(jobs) > 1 THEN
        batch := nextval('lockkeeper.ddl_batch_id_seq');
    END IF;
    WITH numbered AS (
        SELECT n::integer AS n, j,
               lockkeeper.path_schemas(j->>'search_path', acting) AS path
          FROM jsonb_array_elements(jobs) WITH ORDINALITY AS t(j, n)),
    resolved AS (
        SELECT n.n, f.object, f.exclusive
          FROM numbered AS n, LATERAL lockkeeper.resolve_refs(n.j->'refs', n.path) AS f
        UNION ALL SELECT n, 'batch:' || batch, true FROM numbered WHERE batch IS NOT NULL)
    SELECT array_agg((r.n, r.object, r.exclusive)::lockkeeper.footprint_entry ORDER BY r.n)
      INTO entries FROM resolved AS r;
    PERFORM lockkeeper.lock_objects(entries);
    FOR spec IN SELECT j FROM jsonb_array_elements(jobs) AS t(j) LOOP
        seq := seq + 1;
        id := nextval('lockkeeper.ddl_job_id_seq');
        existing := false;
        SELECT lockkeeper.add_footprint(enqueue.id, array_agg(e.object), array_agg(e.exclusive))
          INTO missing FROM unnest(entries) AS e WHERE e.job = seq;
        INSERT INTO lockkeeper.ddl_job (id, waits, priority, pool, parsed, transactional, opaque,
            unparsed_run, changes_schema, batch_id, batch_seq, on_error, key, action, statements,
            role, search_path, settings)
        VALUES (enqueue.id, missing, coalesce((options->>'priority')::smallint, 0),
            coalesce(spec->>'pool', 'general'), coalesce((spec->>'parsed')::boolean, true),
            coalesce((spec->>'transactional')::boolean, true),
            coalesce((spec->>'opaque')::boolean, false),
            coalesce((spec->>'unparsed_run')::boolean, false),
            coalesce((spec->>'changes_schema')::boolean, true), batch, seq,
            coalesce(options->>'on_error', 'cancel'), CASE WHEN seq = 1 THEN the_key END,
            spec->>'action', ARRAY(SELECT jsonb_array_elements_text(spec->'statements')),
            acting, spec->>'search_path', coalesce(spec->'settings', '{}'));
        any_ready := any_ready OR missing = 0 OR NOT coalesce((spec->>'parsed')::boolean, true);
        RETURN NEXT;
    END LOOP;
    IF any_ready THEN PERFORM pg_notify('lockkeeper_ready', ''); END IF;
END $$;

-- For people who have only psql. The text is parsed by a worker; until then the job is a barrier,
-- so that nothing that comes later may pass it. options: {"key": …, "as_barrier": true}.
CREATE FUNCTION lockkeeper.submit(sql text, options jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE sql AS $$
    SELECT e.id FROM lockkeeper.enqueue(pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object(
        'action', CASE WHEN (options->>'as_barrier')::pg_catalog.bool THEN 'barrier' ELSE 'unparsed' END,
        'parsed', coalesce((options->>'as_barrier')::pg_catalog.bool, false),
        'unparsed_run', coalesce((options->>'as_barrier')::pg_catalog.bool, false),
        'opaque', true,
        'statements', pg_catalog.jsonb_build_array(sql),
        'refs', '[{"kind": "database", "exclusive": true}]'::pg_catalog.jsonb,
        'search_path', pg_catalog.current_setting('search_path'),
        'settings', lockkeeper.statement_settings())), options) AS e
    ORDER BY e.id LIMIT 1
$$;

-- A worker has parsed a job from psql: its footprint replaces the barrier, under the same id. Later
-- jobs that were granted an object that this one wants lose it again: none of them can have
-- started, because each still waits for the database.
CREATE FUNCTION lockkeeper.file_parsed(parsed_job bigint, spec jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job;
    entries lockkeeper.footprint_entry[];
    missing integer;
BEGIN
    -- The barrier itself first, so that nothing new is granted meanwhile.
    PERFORM lockkeeper.lock_objects(ARRAY[(0, 'database', true)::lockkeeper.footprint_entry]);
    SELECT * INTO STRICT job FROM lockkeeper.ddl_job WHERE id = parsed_job FOR UPDATE;
    SELECT array_agg((0, f.object, f.exclusive)::lockkeeper.footprint_entry) INTO entries
      FROM lockkeeper.resolve_refs(spec->'refs', lockkeeper.path_schemas(job.search_path, job.role)) AS f;
    DELETE FROM lockkeeper.ddl_job_footprint WHERE job_id = parsed_job;
    WITH wanted AS (SELECT e.object, bool_or(e.exclusive) AS exclusive
                      FROM unnest(entries) AS e GROUP BY e.object),
    taken_back AS (
        UPDATE lockkeeper.ddl_job_footprint AS f SET granted = false FROM wanted AS w
         WHERE f.object = w.object AND f.job_id > parsed_job AND f.granted
           AND (f.exclusive OR w.exclusive) RETURNING f.job_id),
    counts AS (SELECT job_id, count(*)::integer AS n FROM taken_back GROUP BY job_id)
    UPDATE lockkeeper.ddl_job AS d SET waits = d.waits + c.n FROM counts AS c WHERE d.id = c.job_id;
    WITH wanted AS (SELECT e.object, bool_or(e.exclusive) AS exclusive
                      FROM unnest(entries) AS e GROUP BY e.object),
    added AS (
        INSERT INTO lockkeeper.ddl_job_footprint (object, job_id, exclusive, granted)
        SELECT w.object, parsed_job, w.exclusive, NOT EXISTS (
                   SELECT FROM lockkeeper.ddl_job_footprint AS f
                    WHERE f.object = w.object AND f.job_id < parsed_job
                      AND (f.exclusive OR w.exclusive))
          FROM wanted AS w RETURNING granted)
    SELECT count(*) FILTER (WHERE NOT granted) INTO missing FROM added;
    UPDATE lockkeeper.ddl_job SET parsed = true, waits = missing, action = spec->>'action',
           pool = coalesce(spec->>'pool', 'general'),
           transactional = coalesce((spec->>'transactional')::boolean, true),
           opaque = coalesce((spec->>'opaque')::boolean, false),
           changes_schema = coalesce((spec->>'changes_schema')::boolean, true)
     WHERE id = parsed_job;
    PERFORM lockkeeper.grant_waiting(ARRAY['database']);
    PERFORM pg_notify('lockkeeper_ready', '');
END $$;

CREATE FUNCTION lockkeeper.next_schema_version(job lockkeeper.ddl_job, touched text[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made bigint;
BEGIN
    UPDATE lockkeeper.ddl_schema_version SET version = version + 1 RETURNING version INTO made;
    INSERT INTO lockkeeper.ddl_schema_diff (version, job_id, action, state_from, state_to, objects)
    VALUES (made, job.id, job.action, job.schema_state, 'public', touched);
    RETURN made;
END $$;

-- Jobs go to history with one final state; gives the number of jobs that became ready. Deletes by
-- id: the caller holds the row locks and has checked the claim.
CREATE FUNCTION lockkeeper.to_history(ended bigint[], final lockkeeper.job_state, reason jsonb,
                                      done_steps jsonb) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job;
    touched text[];
    made bigint;
    made_ready integer;
BEGIN
    FOR job IN DELETE FROM lockkeeper.ddl_job WHERE id = ANY (ended) RETURNING * LOOP
        made := NULL;
        SELECT coalesce(array_agg(object ORDER BY object), '{}') INTO touched
          FROM lockkeeper.ddl_job_footprint
         WHERE job_id = job.id AND exclusive AND object NOT LIKE 'batch:%';
        -- The version row is locked last: from here to the commit all changes of the schema follow
        -- each other, so this stretch is kept short. Only one job at a time ends well.
        IF final = 'synced' THEN
            made_ready := lockkeeper.release_footprint(ARRAY[job.id]);
            IF job.changes_schema THEN
                made := lockkeeper.next_schema_version(job, touched);
            END IF;
        END IF;
        INSERT INTO lockkeeper.ddl_history (id, state, schema_state, action, statements, objects, role,
            search_path, settings, batch_id, batch_seq, key, tries, epoch, worker, error, steps,
            schema_version, submitted_at, started_at, ended_at)
        VALUES (job.id, final, CASE WHEN final = 'synced' THEN 'public' ELSE 'none' END::lockkeeper.schema_state,
            job.action, job.statements, touched, job.role, job.search_path, job.settings, job.batch_id,
            job.batch_seq, job.key, job.tries, job.epoch, job.worker, reason, done_steps, made,
            job.submitted_at, job.started_at, clock_timestamp());
        DELETE FROM lockkeeper.ddl_step WHERE job_id = job.id;
        PERFORM pg_notify('lockkeeper_ended', job.id::text);
    END LOOP;
    IF final <> 'synced' THEN made_ready := lockkeeper.release_footprint(ended); END IF;
    IF made_ready > 0 THEN PERFORM pg_notify('lockkeeper_ready', ''); END IF;
    RETURN made_ready;
END $$;

-- The later jobs of the batch that fall with `job` when it does not end well.
CREATE FUNCTION lockkeeper.rest_of_batch(job lockkeeper.ddl_job) RETURNS bigint[]
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(r.id), '{}') FROM (
        SELECT id FROM lockkeeper.ddl_job
         WHERE batch_id = job.batch_id AND batch_seq > job.batch_seq AND job.on_error = 'cancel'
           AND state IN ('queueing', 'paused') ORDER BY id FOR UPDATE) AS r
$$;

-- Ends a job with `final` ('synced' or 'cancelled') if the claim `claim_epoch` still holds, in the
-- transaction of its change (promises 1, 2). Gives: 'ended'; 'lost' (somebody else has it, roll
-- back); 'cancelling' (it was to end well, but somebody cancelled it: roll back, then cancel).
CREATE FUNCTION lockkeeper.end_job(the_job bigint, claim_epoch bigint, final lockkeeper.job_state,
                                   reason jsonb, done_steps jsonb) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job;
    rest bigint[];
BEGIN
    SELECT * INTO job FROM lockkeeper.ddl_job WHERE id = the_job AND epoch = claim_epoch FOR UPDATE;
    IF NOT FOUND OR job.claimed_by IS NULL THEN RETURN 'lost'; END IF;
    IF final = 'synced' AND job.state <> 'running' THEN RETURN 'cancelling'; END IF;
    PERFORM lockkeeper.to_history(ARRAY[the_job], final, reason, done_steps);
    IF final <> 'synced' AND job.batch_id IS NOT NULL THEN
        rest := lockkeeper.rest_of_batch(job);
        IF rest <> '{}' THEN
            PERFORM lockkeeper.to_history(rest, 'cancelled', jsonb_build_object(
                'sqlstate', '57014',
                'message', format('cancelled, because job %s of the same batch did not succeed', the_job)), NULL);
        END IF;
    END IF;
    RETURN 'ended';
END $$;

-- Asks for the end of a job: one that has not started ends at once, one that runs is stopped by its
-- worker. Gives the state after it. For the role of the job, its members, and the owner of the schema.
CREATE FUNCTION lockkeeper.cancel(the_job bigint) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job;
    ended lockkeeper.job_state;
    acting name := lockkeeper.acting_role();
    rest bigint[];
BEGIN
    SELECT * INTO job FROM lockkeeper.ddl_job WHERE id = the_job FOR UPDATE;
    IF NOT FOUND THEN
        SELECT state INTO ended FROM lockkeeper.ddl_history WHERE id = the_job;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'there is no job %', the_job USING ERRCODE = 'undefined_object';
        END IF;
        RETURN ended;
    END IF;
    IF NOT (pg_has_role(acting, current_user, 'MEMBER')
            OR EXISTS (SELECT FROM pg_roles AS r
                        WHERE r.rolname = job.role AND pg_has_role(acting, r.oid, 'MEMBER'))) THEN
        RAISE EXCEPTION 'job % belongs to role %', the_job, quote_ident(job.role)
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF job.claimed_by IS NOT NULL THEN
        UPDATE lockkeeper.ddl_job SET state = 'cancelling', state_since = clock_timestamp()
         WHERE id = the_job AND state <> 'cancelling';
        PERFORM pg_notify('lockkeeper_cancel', the_job::text);
        RETURN 'cancelling';
    END IF;
    rest := CASE WHEN job.batch_id IS NULL THEN '{}' ELSE lockkeeper.rest_of_batch(job) END;
    PERFORM lockkeeper.to_history(ARRAY[the_job], 'cancelled', jsonb_build_object(
        'sqlstate', '57014', 'message', format('cancelled by %s', quote_ident(acting))), NULL);
    IF rest <> '{}' THEN
        PERFORM lockkeeper.to_history(rest, 'cancelled', jsonb_build_object('sqlstate', '57014',
            'message', format('cancelled, because job %s of the same batch was cancelled', the_job)), NULL);
    END IF;
    RETURN 'cancelled';
END $$;

-- Hands back the jobs of worker sessions that are gone: their advisory lock is free. A job that was
-- being cancelled comes back as cancelling work for the next claim. 1280014187 = 'LKwk'.
CREATE FUNCTION lockkeeper.reclaim_lost() RETURNS TABLE (id bigint, worker text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
    WITH lost AS (
        SELECT j.id FROM lockkeeper.ddl_job AS j
         WHERE j.claimed_by IS NOT NULL AND NOT EXISTS (
             SELECT FROM pg_locks AS l
              WHERE l.locktype = 'advisory' AND l.classid = 1280014187 AND l.objsubid = 2
                AND l.objid = j.claimed_by::bigint AND l.granted
                AND l.pid = j.claimed_pid  -- anybody may take an advisory lock; it must be its own
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
         ORDER BY j.id FOR UPDATE SKIP LOCKED)
    UPDATE lockkeeper.ddl_job AS j
       SET state = 'queueing', state_since = clock_timestamp(), claimed_by = NULL,
           epoch = j.epoch + 1, crashes = j.crashes + 1,
           -- The first time at once; a job that kills its workers again and again waits longer.
           retry_at = CASE WHEN j.crashes > 0 THEN clock_timestamp()
                           + least(0.1 * 2 ^ j.crashes, 30) * interval '1 second' END,
           error = CASE WHEN j.state = 'cancelling'
                        THEN jsonb_build_object('sqlstate', '57014', 'message', 'cancelled while its worker died',
                                                'cancel', true)
                        ELSE j.error END
      FROM lost WHERE j.id = lost.id
    RETURNING j.id, j.worker;
    IF FOUND THEN PERFORM pg_notify('lockkeeper_ready', ''); END IF;
END $$;

-- A statement outside a transaction was cancelled after its work was done: it counts as done.
CREATE FUNCTION lockkeeper.finish_anyway(the_job bigint) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    UPDATE lockkeeper.ddl_job SET state = 'running' WHERE id = the_job AND state = 'cancelling'
$$;
