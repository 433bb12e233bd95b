-- Pause, resume, retry, settings, leases; what is set aside and what is kept.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (6, 'steering');

-- May `acting` steer a job of this role? The role itself, its members, the owner of the queue.
CREATE FUNCTION lockkeeper.may_steer(acting name, of_role name) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = 'lockkeeper'
                                                  AND pg_has_role(acting, n.nspowner, 'MEMBER'))
        OR EXISTS (SELECT FROM pg_roles AS r
                    WHERE r.rolname = of_role AND pg_has_role(acting, r.oid, 'MEMBER'))
$$;

-- A job that is to end as cancelled, and why: itself, or the job of its batch that it falls with.
CREATE TYPE lockkeeper.falling AS (job_id bigint, because bigint);

-- With each of these jobs, what falls with it: the rest of its batch.
CREATE FUNCTION lockkeeper.falling_with(asked bigint[]) RETURNS SETOF lockkeeper.falling
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT a, a FROM unnest(asked) AS t(a)
    UNION
    SELECT r.id, first.id
      FROM (SELECT DISTINCT ON (j.batch_id) j.id, j.batch_id, j.batch_seq FROM lockkeeper.ddl_job AS j
             WHERE j.id = ANY (asked) AND j.on_error = 'cancel' AND j.batch_id IS NOT NULL
             ORDER BY j.batch_id, j.batch_seq) AS first
      JOIN lockkeeper.ddl_job AS r ON r.batch_id = first.batch_id AND r.batch_seq > first.batch_seq
$$;

-- Ends jobs as cancelled, in the order of locks of 0005: `reason` is of those that fall because of themselves,
-- the rest of a batch is told what `befell` the first. holder: the session that has claimed them; NULL: nobody may
-- have, and none may have left something that a worker must clean up. What was claimed meanwhile stays, with what
-- falls because of it. Locks the rows of `also` too. Gives the jobs that have ended.
CREATE FUNCTION lockkeeper.end_cancelled(wanted lockkeeper.falling[], holder integer, reason jsonb,
                                         befell text, also bigint[])
RETURNS bigint[] LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET jit = off AS $$
DECLARE
    ids bigint[] := ARRAY(SELECT DISTINCT w.job_id FROM unnest(wanted) AS w);
    may bigint[];
    gone_jobs bigint[];
    gone_objects text[];
    granted bigint[];
BEGIN
    PERFORM lockkeeper.lock_footprints(ids);
    LOOP
        BEGIN
            WITH gone AS (DELETE FROM lockkeeper.ddl_job_footprint AS f WHERE f.job_id = ANY (ids)
                          RETURNING CASE WHEN f.exclusive THEN f.job_id END AS job_id, f.object)
            SELECT array_agg(g.job_id), array_agg(g.object) INTO gone_jobs, gone_objects FROM gone AS g;
            granted := lockkeeper.grant_next(gone_objects);
            PERFORM FROM lockkeeper.ddl_job WHERE id = ANY (ids || granted || also) ORDER BY id FOR UPDATE;
            may := ARRAY(SELECT w.job_id FROM unnest(wanted) AS w JOIN lockkeeper.ddl_job AS j ON j.id = w.job_id
                          WHERE j.id = ANY (ids) AND CASE
                                WHEN holder IS NULL THEN j.claimed_by IS NULL AND NOT j.outside_started
                                WHEN w.because = w.job_id THEN j.claimed_by = holder
                                ELSE j.claimed_by IS NULL OR j.claimed_by = holder END);
            may := ARRAY(SELECT DISTINCT w.job_id FROM unnest(wanted) AS w
                          WHERE w.job_id = ANY (may) AND w.because = ANY (may));
            IF cardinality(may) < cardinality(ids) THEN RAISE EXCEPTION USING ERRCODE = 'LK003'; END IF;
            EXIT;
        EXCEPTION WHEN SQLSTATE 'LK003' THEN
            ids := may;
        END;
    END LOOP;
    WITH gone AS (DELETE FROM lockkeeper.ddl_job AS j WHERE j.id = ANY (ids) RETURNING j.*),
    steps AS (DELETE FROM lockkeeper.ddl_step AS s WHERE s.job_id = ANY (ids)),
    touched AS (SELECT g.job_id, array_agg(g.object ORDER BY g.object) AS objects
                  FROM unnest(gone_jobs, gone_objects) AS g(job_id, object)
                 WHERE g.job_id IS NOT NULL AND g.object NOT LIKE 'batch:%' GROUP BY g.job_id),
    because AS (SELECT w.job_id, bool_or(w.because = w.job_id) AS itself, min(w.because) AS other
                  FROM unnest(wanted) AS w GROUP BY w.job_id),
    filed AS (
        INSERT INTO lockkeeper.ddl_history (id, state, schema_state, action, statements, objects, role,
            search_path, settings, batch_id, batch_seq, key, tries, epoch, worker, error, steps,
            schema_version, submitted_at, started_at, ended_at)
        SELECT j.id, CASE WHEN EXISTS (SELECT FROM lockkeeper.ddl_step AS s WHERE s.job_id = j.id
                                          AND s.state = 'undone')
                          THEN 'rollback done' ELSE 'cancelled' END::lockkeeper.job_state, 'none', j.action, j.statements, coalesce(t.objects, '{}'), j.role,
            j.search_path, j.settings, j.batch_id, j.batch_seq, j.key, j.tries, j.epoch, j.worker,
            CASE WHEN b.itself THEN reason ELSE jsonb_build_object('sqlstate', '57014', 'message',
                format('cancelled, because job %s of the same batch %s', b.other, befell)) END,
            NULL, NULL, j.submitted_at, j.started_at, clock_timestamp()
          FROM gone AS j JOIN because AS b ON b.job_id = j.id LEFT JOIN touched AS t ON t.job_id = j.id
        RETURNING id)
    SELECT array_agg(f.id) INTO gone_jobs FROM filed AS f;
    PERFORM pg_notify('lockkeeper_ended', g::text) FROM unnest(gone_jobs) AS t(g);
    IF lockkeeper.lower_waits(granted) > 0 THEN PERFORM pg_notify('lockkeeper_ready', ''); END IF;
    RETURN ids;
END $$;

-- A worker ends its job as cancelled, and with it the rest of the batch. Gives whether the claim still held.
CREATE FUNCTION lockkeeper.fail_job(the_job bigint, claim_epoch bigint, reason jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holder integer := (SELECT j.claimed_by FROM lockkeeper.ddl_job AS j
                        WHERE j.id = the_job AND j.epoch = claim_epoch);
BEGIN
    RETURN holder IS NOT NULL AND the_job = ANY (lockkeeper.end_cancelled(
        ARRAY(SELECT f FROM lockkeeper.falling_with(ARRAY[the_job]) AS f), holder, reason,
        'did not succeed', '{}'));
END $$;

DROP FUNCTION lockkeeper.end_job(bigint, bigint, lockkeeper.job_state, jsonb, jsonb);
DROP FUNCTION lockkeeper.to_history(bigint[], lockkeeper.job_state, jsonb, jsonb);
DROP FUNCTION lockkeeper.rest_of_batch(lockkeeper.ddl_job);
DROP FUNCTION lockkeeper.next_schema_version(lockkeeper.ddl_job, text[]);
DROP FUNCTION lockkeeper.release_footprint(bigint[]);
DROP FUNCTION lockkeeper.grant_waiting(text[]);
DROP FUNCTION lockkeeper.add_footprint(bigint, text[], boolean[]);
DROP FUNCTION lockkeeper.finish_anyway(bigint);

-- Of a job that cannot simply end: its worker is told, or the next one has to see what it left.
CREATE FUNCTION lockkeeper.cancel_one(acting name, job lockkeeper.ddl_job) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
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
CREATE FUNCTION lockkeeper.cancelled_by(acting name) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object('sqlstate', '57014', 'message', format('cancelled by %s', quote_ident(acting)))
$$;

CREATE FUNCTION lockkeeper.pause_one(job lockkeeper.ddl_job, pauser text, OUT state text, OUT answer text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    state := job.state;
    IF job.state IN ('paused', 'pausing') THEN
        answer := 'it is paused already';
        -- What a user paused stays paused when the system resumes its own.
        IF pauser = 'user' THEN UPDATE lockkeeper.ddl_job SET paused_by = 'user' WHERE id = job.id; END IF;
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

CREATE FUNCTION lockkeeper.upgrading() RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM lockkeeper.ddl_setting WHERE name = 'upgrade')
$$;

CREATE FUNCTION lockkeeper.resume_one(job lockkeeper.ddl_job, resumer text, OUT state text, OUT answer text)
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
        PERFORM pg_notify('lockkeeper_ready', job.pool);
    END IF;
END $$;

CREATE FUNCTION lockkeeper.retry_one(job lockkeeper.ddl_job, OUT state text, OUT answer text)
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
        answer := CASE WHEN job.state = 'queueing' THEN 'it waits for its turn' ELSE 'it runs' END;
    END IF;
END $$;

-- Steers many jobs: verb is cancel, pause, resume or retry; which: {"ids": [1, 2]}, {"batch": 3},
-- {"action": "add index"} or {"all": true}. A row per job, in id order: the state after it, and what
-- is to be said of it; done = false when nothing could be done. Locks as 0005 has them, all rows before the first change.
CREATE FUNCTION lockkeeper.steer(verb text, which jsonb)
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
            done := true;
            answer := 'its worker is told to stop';
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

-- One job, for people with psql. Gives its state; an error when nothing could be done.
CREATE FUNCTION lockkeeper.steer_one(verb text, the_job bigint) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told record;
BEGIN
    SELECT s.state, s.done, s.answer INTO told
      FROM lockkeeper.steer(verb, jsonb_build_object('ids', jsonb_build_array(the_job))) AS s;
    IF told.state IS NULL THEN
        RAISE EXCEPTION 'there is no job %', the_job USING ERRCODE = 'undefined_object';
    ELSIF NOT told.done AND told.answer LIKE 'it belongs to%' THEN
        RAISE EXCEPTION 'job % belongs to %', the_job, substr(told.answer, 15)
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN told.state;
END $$;
CREATE OR REPLACE FUNCTION lockkeeper.cancel(the_job bigint) RETURNS text
LANGUAGE sql AS $$ SELECT lockkeeper.steer_one('cancel', the_job) $$;
ALTER FUNCTION lockkeeper.cancel(bigint) SECURITY INVOKER;
CREATE FUNCTION lockkeeper.pause(the_job bigint) RETURNS text
LANGUAGE sql AS $$ SELECT lockkeeper.steer_one('pause', the_job) $$;
CREATE FUNCTION lockkeeper.resume(the_job bigint) RETURNS text
LANGUAGE sql AS $$ SELECT lockkeeper.steer_one('resume', the_job) $$;
CREATE FUNCTION lockkeeper.retry(the_job bigint) RETURNS text
LANGUAGE sql AS $$ SELECT lockkeeper.steer_one('retry', the_job) $$;

-- A setting of the queue, with the default when there is none.
CREATE FUNCTION lockkeeper.setting(wanted text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT value FROM lockkeeper.ddl_setting WHERE name = wanted),
                    CASE wanted WHEN 'queue' THEN 'running' WHEN 'history_days' THEN '0'
                                WHEN 'history_rows' THEN '0' END)
$$;

-- Changes a setting while everything runs; NULL: back to the default. Only for the owner.
--   queue            running | paused (nothing new starts; what runs goes on)
--   general_workers  worker threads of each process for quick changes (1 to 256)
--   reorg_workers    worker threads of each process for changes that read or write rows (1 to 256)
--   history_days     ended jobs older than so many days are deleted; 0: none are
--   history_rows     so many ended jobs are kept at most; 0: all
CREATE FUNCTION lockkeeper.set(setting_name text, setting_value text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    least integer := CASE WHEN setting_name LIKE '%_workers' THEN 1 ELSE 0 END;
    most integer := CASE WHEN setting_name LIKE '%_workers' THEN 256 WHEN setting_name = 'history_days' THEN 36500
                         ELSE 999999999 END;
BEGIN
    IF setting_name NOT IN ('queue', 'general_workers', 'reorg_workers', 'history_days', 'history_rows') THEN
        RAISE EXCEPTION 'there is no setting %', quote_literal(setting_name)
            USING ERRCODE = 'undefined_object',
                  HINT = 'queue, general_workers, reorg_workers, history_days, history_rows';
    END IF;
    IF setting_name = 'queue' THEN
        IF setting_value NOT IN ('running', 'paused') THEN
            RAISE EXCEPTION 'the queue is running or paused' USING ERRCODE = 'invalid_parameter_value';
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
    PERFORM pg_notify('lockkeeper_ready', 'settings');
END $$;

-- Upgrade mode: all jobs are paused by the system, nothing new starts, submissions are queued. Its
-- end resumes what the system paused, and never what a user did. May be called again. Gives the
-- number of jobs that were paused or resumed. Only for the owner.
CREATE FUNCTION lockkeeper.upgrade(begins boolean) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted bigint[];
    job lockkeeper.ddl_job;
    moved integer := 0;
    now_state text;
BEGIN
    PERFORM lockkeeper.need_read_committed();
    IF begins THEN
        INSERT INTO lockkeeper.ddl_setting (name, value, changed_by)
        VALUES ('upgrade', 'on', lockkeeper.acting_role()) ON CONFLICT (name) DO NOTHING;
    ELSE
        DELETE FROM lockkeeper.ddl_setting WHERE name = 'upgrade';
    END IF;
    -- All rows are locked before the first is changed (0005).
    wanted := ARRAY(SELECT j.id FROM lockkeeper.ddl_job AS j
                     WHERE CASE WHEN begins THEN j.state IN ('queueing', 'running')
                                ELSE j.paused_by = 'system' END ORDER BY j.id FOR UPDATE);
    FOR job IN SELECT * FROM lockkeeper.ddl_job AS j WHERE j.id = ANY (wanted) ORDER BY j.id LOOP
        IF begins THEN
            SELECT p.state INTO now_state FROM lockkeeper.pause_one(job, 'system') AS p;
        ELSE
            SELECT r.state INTO now_state FROM lockkeeper.resume_one(job, 'system') AS r;
        END IF;
        IF now_state <> job.state::text THEN moved := moved + 1; END IF;
    END LOOP;
    IF NOT begins THEN PERFORM lockkeeper.lower_floor(wanted); END IF;
    PERFORM pg_notify('lockkeeper_ready', 'settings');
    RETURN moved;
END $$;

-- A process says that it lives for `lease` more; gives its id. NULL or a forgotten id: a new one.
CREATE FUNCTION lockkeeper.heartbeat(process_id bigint, process_name text, lease interval) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known bigint;
BEGIN
    UPDATE lockkeeper.ddl_worker AS w SET lease_until = clock_timestamp() + lease
     WHERE w.id = process_id RETURNING w.id INTO known;
    IF known IS NULL THEN
        INSERT INTO lockkeeper.ddl_worker (name, lease_until)
        VALUES (process_name, clock_timestamp() + lease) RETURNING ddl_worker.id INTO known;
        DELETE FROM lockkeeper.ddl_worker AS w
         WHERE w.lease_until < clock_timestamp() - interval '1 day'
           AND NOT EXISTS (SELECT FROM lockkeeper.ddl_job AS j WHERE j.process = w.id);
    END IF;
    RETURN known;
END $$;

-- Ends the backends of claims whose process has let its lease run out: it is stopped or cut off, and
-- when it wakes it finds its sessions gone (promise 2). Gives the jobs; reclaim_lost takes them next.
CREATE FUNCTION lockkeeper.end_silent() RETURNS TABLE (id bigint, worker text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    silent record;
BEGIN
    FOR silent IN
        SELECT j.id, j.worker, j.claimed_pid FROM lockkeeper.ddl_job AS j
          JOIN lockkeeper.ddl_worker AS w ON w.id = j.process
          JOIN pg_locks AS l ON l.locktype = 'advisory' AND l.classid = 1280014187 AND l.objsubid = 2
                            AND l.objid = j.claimed_by::bigint AND l.granted AND l.pid = j.claimed_pid
         WHERE j.claimed_by IS NOT NULL AND w.lease_until < clock_timestamp()
    LOOP
        CONTINUE WHEN NOT pg_terminate_backend(silent.claimed_pid);
        id := silent.id;
        worker := silent.worker;
        RETURN NEXT;
    END LOOP;
END $$;

-- Hands back the jobs of worker sessions that are gone: their advisory lock is free. A job that was
-- being cancelled comes back as cancelling work for the next claim; one that has brought down
-- `crashes_most` workers is set aside. A restart of the server is nobody's crash. 1280014187 = 'LKwk'.
DROP FUNCTION lockkeeper.reclaim_lost();
CREATE FUNCTION lockkeeper.reclaim_lost(crashes_most integer)
RETURNS TABLE (id bigint, worker text, state text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    gone record;
    lost bigint[];
BEGIN
    FOR gone IN
        SELECT j.id, j.outside_pid FROM lockkeeper.ddl_job AS j
         WHERE j.claimed_by IS NOT NULL AND NOT EXISTS (
             SELECT FROM pg_locks AS k
              WHERE k.locktype = 'advisory' AND k.classid = 1280014187 AND k.objsubid = 2
                AND k.objid = j.claimed_by::bigint AND k.granted
                AND k.pid = j.claimed_pid  -- anybody may take an advisory lock; it must be its own
                AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
         ORDER BY j.id FOR UPDATE SKIP LOCKED
    LOOP
        -- A statement outside a transaction must have ended before anybody looks at what it left.
        IF gone.outside_pid IS NOT NULL AND EXISTS (
               SELECT FROM pg_stat_activity AS a
                WHERE a.pid = gone.outside_pid AND a.application_name = 'lockkeeper job ' || gone.id) THEN
            PERFORM pg_terminate_backend(gone.outside_pid);
        ELSE
            lost := lost || gone.id;
        END IF;
    END LOOP;
    IF lost IS NULL THEN RETURN; END IF;
    RETURN QUERY
    WITH counted AS (
        SELECT j.id, j.state AS was, CASE WHEN pg_postmaster_start_time() > j.state_since THEN j.crashes
                                          ELSE j.crashes + 1 END AS crashes
          FROM lockkeeper.ddl_job AS j WHERE j.id = ANY (lost)),
    judged AS (
        SELECT c.id, c.was, c.crashes, c.was = 'cancelling' AS cancels,
               CASE WHEN c.was = 'cancelling' THEN NULL
                    WHEN c.was = 'rolling back' THEN NULL  -- its error says that it goes back
                    WHEN c.was = 'pausing' THEN 'as asked'
                    WHEN c.crashes >= crashes_most THEN 'crashes' END AS pauses
          FROM counted AS c)
    UPDATE lockkeeper.ddl_job AS j
       SET state = CASE WHEN q.pauses IS NULL THEN 'queueing' ELSE 'paused' END::lockkeeper.job_state,
           paused_by = CASE q.pauses WHEN 'as asked' THEN j.paused_by WHEN 'crashes' THEN 'crashes' END,
           state_since = clock_timestamp(), claimed_by = NULL, outside_pid = NULL,
           epoch = j.epoch + 1, crashes = q.crashes,
           -- The first time at once; a job that brings its workers down again waits longer.
           retry_at = CASE WHEN q.crashes > 1 AND q.pauses IS NULL THEN clock_timestamp()
                           + least(0.1 * 2 ^ q.crashes, 30) * interval '1 second' END,
           error = CASE WHEN q.cancels
                        THEN jsonb_build_object('sqlstate', '57014', 'message', 'cancelled while its worker died',
                                                'cancel', true)
                        WHEN q.pauses = 'crashes'
                        THEN jsonb_build_object('sqlstate', '57P02', 'message', format(
                                 'set aside: its worker or its backend died %s times while it ran', q.crashes),
                                 'hint', 'look at the logs of the server and of the workers; then resume or cancel it')
                        ELSE j.error END
      FROM judged AS q WHERE j.id = q.id
    RETURNING j.id, j.worker, j.state::text;
    PERFORM lockkeeper.lower_floor(lost);
    PERFORM pg_notify('lockkeeper_ready', '');
END $$;

-- Deletes at most `most` ended jobs that the settings do not keep; gives how many.
CREATE FUNCTION lockkeeper.purge_history(most integer) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    days integer := lockkeeper.setting('history_days');
    keep integer := lockkeeper.setting('history_rows');
    -- The newest row that is not kept; of jobs that ended together the larger id is the newer one.
    last_time timestamptz := CASE WHEN days > 0 THEN clock_timestamp() - make_interval(days => days)
                                  ELSE '-infinity' END;
    last_id bigint := 0;
    by_count record;
    purged integer;
BEGIN
    IF keep > 0 THEN
        SELECT h.ended_at, h.id INTO by_count FROM lockkeeper.ddl_history AS h
         ORDER BY h.ended_at DESC, h.id DESC OFFSET keep LIMIT 1;
        IF FOUND AND by_count.ended_at >= last_time THEN
            last_time := by_count.ended_at;
            last_id := by_count.id;
        END IF;
    END IF;
    WITH old AS (SELECT h.id FROM lockkeeper.ddl_history AS h WHERE (h.ended_at, h.id) <= (last_time, last_id)
                  ORDER BY h.ended_at, h.id LIMIT most FOR UPDATE SKIP LOCKED),
    gone AS (DELETE FROM lockkeeper.ddl_history AS h USING old WHERE h.id = old.id RETURNING h.id)
    SELECT count(*) INTO purged FROM gone;
    RETURN purged;
END $$;
