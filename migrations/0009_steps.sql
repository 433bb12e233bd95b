-- Jobs of several online steps: the plan is kept, and each step ends in its own transaction.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (9, 'steps');

ALTER TABLE lockkeeper.ddl_step
    ADD COLUMN detail jsonb NOT NULL DEFAULT '{}', -- statements, undo, index, table, schema state, words for people
    DROP CONSTRAINT ddl_step_state_check,
    ADD CONSTRAINT known_state CHECK (state IN ('pending', 'running', 'done', 'undone'));

-- Keeps the plan of a claimed job, before its first step. Gives whether the claim holds and nobody wants it
-- stopped. steps: an array of {kind, statements, undo, schema_state, says, …}.
CREATE FUNCTION lockkeeper.keep_plan(the_job bigint, claim_epoch bigint, steps jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- From now on a worker must look at it before it can be cancelled.
    UPDATE lockkeeper.ddl_job SET outside_started = true
     WHERE id = the_job AND epoch = claim_epoch AND state = 'running';
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO lockkeeper.ddl_step (job_id, seq, kind, statement, state, detail)
    SELECT the_job, n, s->>'kind', (SELECT string_agg(t, E';\n') FROM jsonb_array_elements_text(s->'statements') AS e(t)),
           'pending', s FROM jsonb_array_elements(steps) WITH ORDINALITY AS a(s, n);
    RETURN true;
END $$;

-- A step that changes the schema has a version and a diff, in its own transaction (promise 4).
CREATE FUNCTION lockkeeper.make_version(job lockkeeper.ddl_job, state_after lockkeeper.schema_state) RETURNS void
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    WITH counter AS (UPDATE lockkeeper.ddl_schema_version AS v SET version = v.version + 1 RETURNING v.version)
    INSERT INTO lockkeeper.ddl_schema_diff (version, job_id, action, state_from, state_to, objects)
    SELECT c.version, job.id, job.action, job.schema_state, state_after,
           coalesce((SELECT array_agg(f.object ORDER BY f.object) FROM lockkeeper.ddl_job_footprint AS f
                      WHERE f.job_id = job.id AND f.exclusive AND f.object NOT LIKE 'batch:%'), '{}')
      FROM counter AS c
$$;

-- The table of a plan, by its oid, must still have the name that the statements say: a rename by somebody else
-- would have them change another table. The caller holds a lock on the one that has the name.
CREATE FUNCTION lockkeeper.same_target(target oid, planned text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF to_regclass(planned) IS DISTINCT FROM target::regclass THEN
        RAISE EXCEPTION 'table % was renamed or replaced while its change was under way', planned
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
END $$;

-- Ends a step but the last, in the transaction of its changes. Errors as those of end_jobs: LK001, the claim is
-- lost; LK002, the job is to be stopped (after a step outside of a transaction, whose work is done, that is
-- told by the next one).
CREATE FUNCTION lockkeeper.end_step(the_job bigint, claim_epoch bigint, the_seq integer,
                                    state_after lockkeeper.schema_state) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job;
    in_transaction boolean;
BEGIN
    SELECT * INTO job FROM lockkeeper.ddl_job WHERE id = the_job AND epoch = claim_epoch FOR UPDATE;
    IF NOT FOUND OR job.claimed_by IS NULL THEN RAISE EXCEPTION 'claim lost' USING ERRCODE = 'LK001'; END IF;
    UPDATE lockkeeper.ddl_step SET state = 'done', ended_at = clock_timestamp(),
           started_at = coalesce(started_at, transaction_timestamp())
     WHERE job_id = the_job AND seq = the_seq AND state IN ('pending', 'running') RETURNING kind = 'transaction'
      INTO STRICT in_transaction;
    IF job.state <> 'running' AND in_transaction THEN
        RAISE EXCEPTION 'to be stopped' USING ERRCODE = 'LK002';
    END IF;
    UPDATE lockkeeper.ddl_job SET schema_state = state_after WHERE id = the_job;
    PERFORM lockkeeper.make_version(job, state_after);
END $$;

-- The way back begins: from now on nobody takes the job forward again. Gives whether the claim holds.
CREATE FUNCTION lockkeeper.begin_rollback(the_job bigint, claim_epoch bigint, reason jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE lockkeeper.ddl_job SET state = 'rolling back', paused_by = NULL, state_since = clock_timestamp(),
           error = reason || '{"cancel": true}'
     WHERE id = the_job AND epoch = claim_epoch AND claimed_by IS NOT NULL;
    RETURN FOUND;
END $$;

-- A step is taken back, in the transaction that did it. LK001: the claim is lost.
CREATE FUNCTION lockkeeper.undo_step(the_job bigint, claim_epoch bigint, the_seq integer) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job;
    state_before lockkeeper.schema_state;
BEGIN
    SELECT * INTO job FROM lockkeeper.ddl_job
     WHERE id = the_job AND epoch = claim_epoch AND state = 'rolling back' FOR UPDATE;
    IF NOT FOUND THEN RAISE EXCEPTION 'claim lost' USING ERRCODE = 'LK001'; END IF;
    UPDATE lockkeeper.ddl_step SET state = 'undone', ended_at = clock_timestamp()
     WHERE job_id = the_job AND seq = the_seq AND state <> 'undone';
    state_before := coalesce((SELECT (s.detail->>'schema_state')::lockkeeper.schema_state FROM lockkeeper.ddl_step AS s
                               WHERE s.job_id = the_job AND s.seq < the_seq ORDER BY s.seq DESC LIMIT 1), 'none');
    UPDATE lockkeeper.ddl_job SET schema_state = state_before WHERE id = the_job;
    PERFORM lockkeeper.make_version(job, state_before);
END $$;

-- For people: what a started job does, step by step.
CREATE VIEW lockkeeper.steps AS
SELECT s.job_id, s.seq, s.kind, s.state, s.statement, s.detail->>'says' AS says, s.started_at, s.ended_at
  FROM lockkeeper.ddl_step AS s JOIN lockkeeper.ddl_job AS j ON j.id = s.job_id
 WHERE lockkeeper.may_read(j.role);
GRANT SELECT ON lockkeeper.steps TO PUBLIC;
