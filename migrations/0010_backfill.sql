-- Backfills: an UPDATE of a whole table as many small ones, by any number of workers.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (10, 'backfill');

CREATE INDEX ddl_step_backfill ON lockkeeper.ddl_step (job_id) WHERE kind = 'backfill' AND state = 'running';

-- A backfill that has begun. Goes with its step.
CREATE TABLE lockkeeper.ddl_reorg (
    job_id         bigint NOT NULL,
    seq            integer NOT NULL,
    blocks         bigint NOT NULL,             -- of the table when it began: what comes later is filled by the trigger
    started_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    vacuumed       bigint NOT NULL DEFAULT 0,   -- blocks that were done when the table was vacuumed last
    throttled      text,                        -- why it goes slower than it could, or not at all
    PRIMARY KEY (job_id, seq),
    FOREIGN KEY (job_id, seq) REFERENCES lockkeeper.ddl_step ON DELETE CASCADE
);

-- Ranges of blocks. Its row lock is the right to run a batch of it, and the batch's transaction moves next_block
-- on: a crash leaves both or nothing (promise 6).
CREATE TABLE lockkeeper.ddl_subtask (
    job_id      bigint NOT NULL,
    seq         integer NOT NULL,
    n           integer NOT NULL,
    next_block  bigint NOT NULL,
    first_block bigint NOT NULL,
    end_block   bigint NOT NULL,
    rows        bigint NOT NULL DEFAULT 0,
    done        boolean NOT NULL,
    PRIMARY KEY (job_id, seq, n),
    FOREIGN KEY (job_id, seq) REFERENCES lockkeeper.ddl_reorg ON DELETE CASCADE
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- How a job is run, kept among its settings as lockkeeper.…; never set in a session.
CREATE FUNCTION lockkeeper.is_tuning(name text, value text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN name IN ('lockkeeper.threads', 'lockkeeper.batch_ms') THEN value ~ '^[1-9][0-9]{0,8}$'
                WHEN name = 'lockkeeper.rows_per_second' THEN value ~ '^[0-9]{1,9}$'
                ELSE name = 'lockkeeper.postpone_cutover' AND value IN ('on', 'off') END
$$;

-- As in 0005, and how a job is run may be said with it. Settings are those that change what a statement means, never those that change whose
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
                          OR lower(s.key) ~ '^(default_)?transaction_'
                          OR lower(s.key) ~ '^lockkeeper\.' AND NOT lockkeeper.is_tuning(s.key, s.value #>> '{}')) THEN
            RAISE EXCEPTION 'not a job specification' USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;
END $$;

-- A number that was set for a job, as a setting of its own; NULL: it was not, or it is none.
CREATE FUNCTION lockkeeper.tuned(settings jsonb, name text, otherwise bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN lockkeeper.is_tuning(name, settings->>name) THEN (settings->>name)::bigint ELSE otherwise END
$$;

-- Begins a backfill of table target, or goes on with one; anew: all of it once more. Errors as those of end_step.
CREATE FUNCTION lockkeeper.begin_backfill(the_job bigint, claim_epoch bigint, the_seq integer, target oid, anew boolean)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job;
    blocks bigint := pg_relation_size(target) / current_setting('block_size')::bigint;
    range bigint := greatest(256, (blocks + 63) / 64);
BEGIN
    SELECT * INTO job FROM lockkeeper.ddl_job WHERE id = the_job AND epoch = claim_epoch FOR UPDATE;
    IF NOT FOUND OR job.claimed_by IS NULL THEN RAISE EXCEPTION 'claim lost' USING ERRCODE = 'LK001'; END IF;
    IF job.state <> 'running' THEN RAISE EXCEPTION 'to be stopped' USING ERRCODE = 'LK002'; END IF;
    UPDATE lockkeeper.ddl_step SET state = 'running', started_at = coalesce(started_at, clock_timestamp())
     WHERE job_id = the_job AND seq = the_seq;
    IF anew THEN DELETE FROM lockkeeper.ddl_reorg WHERE job_id = the_job AND seq = the_seq; END IF;
    INSERT INTO lockkeeper.ddl_reorg (job_id, seq, blocks) VALUES (the_job, the_seq, blocks) ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN RETURN; END IF;
    INSERT INTO lockkeeper.ddl_subtask (job_id, seq, n, next_block, first_block, end_block, done)
    SELECT the_job, the_seq, i, i * range, i * range, least((i + 1) * range, blocks), false
      FROM generate_series(0, (blocks - 1) / range) AS i WHERE blocks > 0;
    IF blocks > range THEN PERFORM pg_notify('lockkeeper_ready', 'reorg'); END IF;
END $$;

-- Takes a range for the caller's transaction: one that nobody works at, of the first ones of so many as workers are
-- wanted. waits: waits for one of them, when others work at all that are left. No row: nothing is left (or, without
-- waits, nothing is free). LK001: the claim is lost; LK002: the job is to be stopped.
CREATE FUNCTION lockkeeper.next_batch(the_job bigint, claim_epoch bigint, the_seq integer, waits boolean)
RETURNS TABLE (n integer, next_block bigint, end_block bigint, batch_ms bigint, rows_per_second bigint, threads bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    job lockkeeper.ddl_job;
    wanted integer[];
BEGIN
    SELECT * INTO job FROM lockkeeper.ddl_job WHERE id = the_job AND epoch = claim_epoch;
    IF NOT FOUND OR job.claimed_by IS NULL THEN RAISE EXCEPTION 'claim lost' USING ERRCODE = 'LK001'; END IF;
    IF job.state <> 'running' THEN RAISE EXCEPTION 'to be stopped' USING ERRCODE = 'LK002'; END IF;
    threads := least(greatest(lockkeeper.tuned(job.settings, 'lockkeeper.threads', 2), 1), 64);
    batch_ms := least(greatest(lockkeeper.tuned(job.settings, 'lockkeeper.batch_ms', 20), 1), 10000);
    rows_per_second := lockkeeper.tuned(job.settings, 'lockkeeper.rows_per_second', 0);
    wanted := ARRAY(SELECT t.n FROM lockkeeper.ddl_subtask AS t
                     WHERE t.job_id = the_job AND t.seq = the_seq AND NOT t.done ORDER BY t.n LIMIT threads);
    SELECT t.n, t.next_block, t.end_block INTO n, next_block, end_block FROM lockkeeper.ddl_subtask AS t
     WHERE t.job_id = the_job AND t.seq = the_seq AND NOT t.done AND t.n = ANY (wanted)
     ORDER BY t.n LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND AND waits THEN
        SELECT t.n, t.next_block, t.end_block INTO n, next_block, end_block FROM lockkeeper.ddl_subtask AS t
         WHERE t.job_id = the_job AND t.seq = the_seq AND NOT t.done AND t.n = ANY (wanted)
         ORDER BY t.n LIMIT 1 FOR UPDATE;
        -- Another one has ended the range that we waited for.
        IF NOT FOUND AND EXISTS (SELECT FROM lockkeeper.ddl_subtask AS t
                                  WHERE t.job_id = the_job AND t.seq = the_seq AND NOT t.done) THEN
            RETURN QUERY SELECT * FROM lockkeeper.next_batch(the_job, claim_epoch, the_seq, waits);
            RETURN;
        END IF;
    END IF;
    IF n IS NOT NULL THEN RETURN NEXT; END IF;
END $$;

-- Ends a batch, in its transaction. The caller has the range from next_batch.
CREATE FUNCTION lockkeeper.end_batch(the_job bigint, the_seq integer, the_n integer, next bigint, more_rows bigint)
RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    UPDATE lockkeeper.ddl_subtask SET next_block = next, rows = rows + more_rows, done = next >= end_block
     WHERE job_id = the_job AND seq = the_seq AND n = the_n
$$;

-- How far steps are that take their time: backfills, and builds of indexes.
CREATE VIEW lockkeeper.progress AS
SELECT r.job_id, 'backfill' AS what, d.rows, d.blocks AS blocks_done, r.blocks,
       CASE WHEN r.blocks > 0 THEN round(100.0 * d.blocks / r.blocks, 1) ELSE 100 END AS percent,
       round(d.rows / greatest(extract(epoch FROM statement_timestamp() - r.started_at), 0.001)) AS rows_per_second,
       CASE WHEN d.blocks > 0 THEN round(extract(epoch FROM statement_timestamp() - r.started_at)
                                         * (r.blocks - d.blocks) / d.blocks, 1) END AS seconds_left,
       r.throttled, r.started_at
  FROM lockkeeper.ddl_reorg AS r
  JOIN lockkeeper.ddl_step AS s ON s.job_id = r.job_id AND s.seq = r.seq AND s.state = 'running'
 CROSS JOIN LATERAL (SELECT coalesce(sum(t.rows), 0)::bigint AS rows,
                            coalesce(sum(t.next_block - t.first_block), 0)::bigint AS blocks
                       FROM lockkeeper.ddl_subtask AS t WHERE t.job_id = r.job_id AND t.seq = r.seq) AS d
UNION ALL
SELECT j.id, p.phase, p.tuples_done, p.blocks_done, p.blocks_total,
       round(100.0 * CASE WHEN p.blocks_total > 0 THEN p.blocks_done::numeric / p.blocks_total
                          WHEN p.tuples_total > 0 THEN p.tuples_done::numeric / p.tuples_total END, 1),
       NULL, NULL, NULL, NULL
  FROM pg_stat_progress_create_index AS p JOIN lockkeeper.ddl_job AS j ON j.outside_pid = p.pid;
GRANT SELECT ON lockkeeper.progress TO PUBLIC;

-- As before, and the ranges of a backfill go: who works at one ends its batch first.
CREATE OR REPLACE FUNCTION lockkeeper.begin_rollback(the_job bigint, claim_epoch bigint, reason jsonb) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE lockkeeper.ddl_job SET state = 'rolling back', paused_by = NULL, state_since = clock_timestamp(),
           error = reason || '{"cancel": true}'
     WHERE id = the_job AND epoch = claim_epoch AND claimed_by IS NOT NULL;
    IF NOT FOUND THEN RETURN false; END IF;
    DELETE FROM lockkeeper.ddl_reorg WHERE job_id = the_job;
    RETURN true;
END $$;

-- As in 0009, and a probe, which changes nothing, makes no version. Ends a step but the last, in the transaction of its changes. Errors as those of end_jobs: LK001, the claim is
-- lost; LK002, the job is to be stopped (after a step outside of a transaction, whose work is done, that is
-- told by the next one).
CREATE OR REPLACE FUNCTION lockkeeper.end_step(the_job bigint, claim_epoch bigint, the_seq integer,
                                    state_after lockkeeper.schema_state) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job lockkeeper.ddl_job;
    step_kind text;
BEGIN
    SELECT * INTO job FROM lockkeeper.ddl_job WHERE id = the_job AND epoch = claim_epoch FOR UPDATE;
    IF NOT FOUND OR job.claimed_by IS NULL THEN RAISE EXCEPTION 'claim lost' USING ERRCODE = 'LK001'; END IF;
    UPDATE lockkeeper.ddl_step SET state = 'done', ended_at = clock_timestamp(),
           started_at = coalesce(started_at, transaction_timestamp())
     WHERE job_id = the_job AND seq = the_seq AND state IN ('pending', 'running') RETURNING kind INTO STRICT step_kind;
    IF job.state <> 'running' AND step_kind = 'transaction' THEN
        RAISE EXCEPTION 'to be stopped' USING ERRCODE = 'LK002';
    END IF;
    IF step_kind = 'probe' THEN RETURN; END IF;
    UPDATE lockkeeper.ddl_job SET schema_state = state_after WHERE id = the_job;
    PERFORM lockkeeper.make_version(job, state_after);
END $$;

-- As in 0009, and a probe makes no version. A step is taken back, in the transaction that did it. LK001: the claim is lost.
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
    IF step_kind = 'probe' THEN RETURN; END IF;
    state_before := coalesce((SELECT (s.detail->>'schema_state')::lockkeeper.schema_state FROM lockkeeper.ddl_step AS s
                               WHERE s.job_id = the_job AND s.seq < the_seq ORDER BY s.seq DESC LIMIT 1), 'none');
    UPDATE lockkeeper.ddl_job SET schema_state = state_before WHERE id = the_job;
    PERFORM lockkeeper.make_version(job, state_before);
END $$;

-- Changes how a job is run, also while it runs: threads, batch_ms, rows_per_second, postpone_cutover ("on"); a value
-- of null takes one back. Gives what is set now. Who may cancel a job may do this.
CREATE FUNCTION lockkeeper.alter_job(the_job bigint, changes jsonb) RETURNS jsonb
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
        IF NOT coalesce(one.value IS NULL AND 'lockkeeper.' || one.key IN ('lockkeeper.threads', 'lockkeeper.batch_ms',
                            'lockkeeper.rows_per_second', 'lockkeeper.postpone_cutover')
                        OR lockkeeper.is_tuning('lockkeeper.' || one.key, one.value), false) THEN
            RAISE EXCEPTION '"%" cannot be "%"', one.key, one.value USING ERRCODE = 'invalid_parameter_value',
                HINT = 'threads, batch_ms, rows_per_second: a whole number; postpone_cutover: on or off';
        END IF;
    END LOOP;
    UPDATE lockkeeper.ddl_job SET settings = jsonb_strip_nulls(settings || (
               SELECT coalesce(jsonb_object_agg('lockkeeper.' || key, value), '{}') FROM jsonb_each_text(changes))),
           retry_at = CASE WHEN changes ? 'postpone_cutover' THEN NULL ELSE retry_at END
     WHERE id = the_job RETURNING * INTO job;
    PERFORM pg_notify('lockkeeper_ready', 'reorg');
    RETURN (SELECT coalesce(jsonb_object_agg(substr(key, 12), value), '{}') FROM jsonb_each(job.settings)
             WHERE key LIKE 'lockkeeper.%');
END $$;

-- As in 0008, with what has come since; who could use the queue before may use that too.
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
        'lockkeeper.dependency_id(bigint), lockkeeper.may_read(name) TO %I', to_role);
END $$;

DO $$
DECLARE
    f regprocedure;
    grantee name;
BEGIN
    FOR f IN SELECT p.oid FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = 'lockkeeper'::regnamespace
                AND p.proname IN ('tuned', 'is_tuning', 'begin_backfill', 'next_batch', 'end_batch', 'alter_job') LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
    FOR grantee IN SELECT DISTINCT pg_catalog.pg_get_userbyid(a.grantee) FROM pg_catalog.pg_proc AS p,
                          LATERAL pg_catalog.aclexplode(p.proacl) AS a
                    WHERE p.oid = 'lockkeeper.resolve_refs(jsonb, text[])'::regprocedure
                      AND a.grantee <> p.proowner AND a.grantee <> 0 LOOP
        PERFORM lockkeeper.grant_use(grantee);
    END LOOP;
END $$;
