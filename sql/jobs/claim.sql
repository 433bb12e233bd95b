-- One row: the claimed job; none: nothing is ready. $1 worker id (int), $2 its name (text),
-- $3 (bool) reorg jobs too. Row lock only; SKIP LOCKED: claimers neither wait for nor share a job.
-- Reads the front of the partial index ddl_job_ready, whatever the backlog. Caller: jobs/queue.
UPDATE lockkeeper.ddl_job AS j
   SET state = 'running', state_since = pg_catalog.clock_timestamp(), epoch = j.epoch + 1,
       claimed_by = $1::integer, claimed_pid = pg_catalog.pg_backend_pid(), worker = $2, retry_at = NULL,
       started_at = coalesce(j.started_at, pg_catalog.clock_timestamp())
 WHERE j.id = (
     SELECT c.id FROM lockkeeper.ddl_job AS c
      WHERE c.state = 'queueing' AND c.waits = 0 AND c.parsed
        AND (c.retry_at IS NULL OR c.retry_at <= pg_catalog.clock_timestamp())
        AND ($3::boolean OR c.pool = 'general')
      ORDER BY c.priority DESC, c.id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING j.id, j.epoch, j.action, pg_catalog.to_json(j.statements) AS statements, j.role,
          j.search_path, j.settings, j.parsed, j.transactional, j.opaque, j.unparsed_run,
          j.outside_started, j.tries, j.crashes, j.error,
          extract(epoch FROM pg_catalog.clock_timestamp() - j.submitted_at) AS waited;
