-- A row: the job is back in the queue; none: the claim is lost, or the job is to be stopped.
-- $1 job (bigint), $2 epoch (bigint), $3 delay in ms (bigint), $4 counts as a try (bool),
-- $5 error (jsonb or NULL). Row lock. Caller: jobs/queue.
WITH back AS (
    UPDATE lockkeeper.ddl_job AS j
       SET state = 'queueing', state_since = pg_catalog.clock_timestamp(), claimed_by = NULL,
           outside_pid = NULL, tries = j.tries + CASE WHEN $4::boolean THEN 1 ELSE 0 END,
           retry_at = CASE WHEN $3::bigint > 0 THEN pg_catalog.clock_timestamp()
                           + pg_catalog.make_interval(secs => $3::bigint / 1000.0) END,
           error = CASE WHEN j.state = 'rolling back'
                        THEN j.error || pg_catalog.jsonb_build_object('undo', $5::jsonb->>'message')
                        ELSE coalesce($5::jsonb, j.error) END
     WHERE j.id = $1::bigint AND j.epoch = $2::bigint AND j.state IN ('running', 'rolling back')
    RETURNING j.id, j.pool)
SELECT b.id, lockkeeper.lower_floor(ARRAY[b.id]) AS lowered,
       CASE WHEN $3::bigint = 0 THEN pg_catalog.pg_notify('lockkeeper_ready', b.pool) END AS told
  FROM back AS b;
