-- A job that has to be over by a time: else it is cancelled.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name, breaking) VALUES (21, 'deadline', false);

-- As in 0011, and the seconds from its submission in which a job has to be over; 0: as long as it takes.
CREATE OR REPLACE FUNCTION lockkeeper.is_tuning(name text, value text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN name IN ('lockkeeper.threads', 'lockkeeper.batch_ms') THEN value ~ '^[1-9][0-9]{0,8}$'
                WHEN name IN ('lockkeeper.rows_per_second', 'lockkeeper.mdl_timeout', 'lockkeeper.kill_blockers', 'lockkeeper.deadline')
                    THEN value ~ '^[0-9]{1,9}$'
                WHEN name = 'lockkeeper.mdl' THEN value IN ('on', 'nodes', 'off')
                WHEN name = 'lockkeeper.mdl_on_timeout' THEN value IN ('wait', 'pause', 'cancel')
                ELSE name = 'lockkeeper.postpone_cutover' AND value IN ('on', 'off') END
$$;

-- As in 0012.
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
        IF NOT coalesce(one.value IS NULL AND one.key = ANY ('{threads,batch_ms,rows_per_second,postpone_cutover,mdl,mdl_timeout,mdl_on_timeout,kill_blockers,deadline}')
                        OR lockkeeper.is_tuning('lockkeeper.' || one.key, one.value), false) THEN
            RAISE EXCEPTION '"%" cannot be "%"', one.key, one.value USING ERRCODE = 'invalid_parameter_value',
                HINT = 'threads, batch_ms, rows_per_second, mdl_timeout, kill_blockers, deadline: a whole number; '
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

CREATE INDEX ddl_job_deadline ON lockkeeper.ddl_job (id) WHERE settings ? 'lockkeeper.deadline';

CREATE FUNCTION lockkeeper.is_late(job lockkeeper.ddl_job) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT lockkeeper.tuned(job.settings, 'lockkeeper.deadline', 0) > 0
       AND job.submitted_at + lockkeeper.tuned(job.settings, 'lockkeeper.deadline', 0) * interval '1 s' < clock_timestamp()
$$;

-- Cancels what is not over in its time, as its role could; gives what became of each. For workers.
CREATE FUNCTION lockkeeper.cancel_late() RETURNS TABLE (id bigint, state text, answer text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    late bigint[] := ARRAY(SELECT j.id FROM lockkeeper.ddl_job AS j
                            WHERE j.settings ? 'lockkeeper.deadline' AND j.state NOT IN ('cancelling', 'rolling back', 'done')
                              AND NOT coalesce(j.error ? 'cancel', false) AND lockkeeper.is_late(j));
BEGIN
    IF late = '{}' THEN RETURN; END IF;
    RETURN QUERY SELECT s.id, s.state, s.answer FROM lockkeeper.steer('cancel', jsonb_build_object('ids', to_jsonb(late))) AS s WHERE s.done;
    UPDATE lockkeeper.ddl_history AS h SET error = h.error || '{"message": "its deadline has passed"}' WHERE h.id = ANY (late);
END $$;

REVOKE ALL ON FUNCTION lockkeeper.is_late(lockkeeper.ddl_job), lockkeeper.cancel_late() FROM PUBLIC;
