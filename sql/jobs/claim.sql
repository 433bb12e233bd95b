-- One row: the claimed job; none: nothing is ready. $1 worker session (int), $2 its name (text),
-- $3 process (bigint), $4 pool (text). Row lock only; SKIP LOCKED: claimers neither wait for nor share
-- a job. Reads the partial index ddl_job_ready from its floor on, whatever the backlog. Caller: jobs/queue.
UPDATE lockkeeper.ddl_job AS j
   SET state = 'running', state_since = pg_catalog.clock_timestamp(), epoch = j.epoch + 1,
       claimed_by = $1::integer, claimed_pid = pg_catalog.pg_backend_pid(), worker = $2,
       process = $3::bigint, retry_at = NULL,
       started_at = coalesce(j.started_at, pg_catalog.clock_timestamp())
 WHERE j.id = (
     SELECT c.id FROM (
         SELECT p.priority, p.floor FROM lockkeeper.ddl_floor AS p
          WHERE p.pool = $4 AND NOT EXISTS (
                SELECT FROM lockkeeper.ddl_setting AS s WHERE s.name = 'queue' AND s.value <> 'running')
          ORDER BY p.priority DESC OFFSET 0) AS f, LATERAL (
         SELECT r.id FROM lockkeeper.ddl_job AS r
          WHERE r.state = 'queueing' AND r.waits = 0 AND r.parsed
            AND r.pool = $4 AND r.priority = f.priority AND r.id >= f.floor
            AND (r.retry_at IS NULL OR r.retry_at <= pg_catalog.clock_timestamp())
          ORDER BY r.id LIMIT 1 FOR UPDATE SKIP LOCKED) AS c
      LIMIT 1)
RETURNING j.id, j.epoch, j.action, pg_catalog.to_json(j.statements) AS statements, j.role,
          j.search_path, j.settings, j.parsed, j.transactional, j.opaque, j.unparsed_run, j.instant,
          j.outside_started, j.tries, j.crashes, j.error, j.batch_id,
          extract(epoch FROM pg_catalog.clock_timestamp() - j.submitted_at) AS waited;
