-- A row per further job that may share the transaction of instant job $1 (bigint), which the caller has
-- claimed: with the same role, search_path and settings, never tried before; of a batch, the ones right
-- after it that wait only for jobs of this batch; else any that are ready. At most $5 (int).
-- $2 worker session (int), $3 its name (text), $4 process (bigint). Row locks, SKIP LOCKED. Caller: jobs/queue.
WITH head AS (
    SELECT h.id, h.batch_id, h.batch_seq, h.role, h.search_path, h.settings, h.pool
      FROM lockkeeper.ddl_job AS h WHERE h.id = $1::bigint),
later AS MATERIALIZED (
    SELECT j.id, j.batch_seq,
           j.instant AND j.transactional AND j.state = 'queueing' AND j.parsed AND j.tries = 0
           AND j.crashes = 0 AND j.role = head.role AND j.search_path = head.search_path
           AND j.settings = head.settings AND NOT EXISTS (
               SELECT FROM lockkeeper.ddl_job_footprint AS f
                 JOIN lockkeeper.ddl_job_footprint AS o ON o.object = f.object AND o.job_id < f.job_id
                                                      AND (o.exclusive OR f.exclusive)
                 JOIN lockkeeper.ddl_job AS b ON b.id = o.job_id
                WHERE f.job_id = j.id AND NOT f.granted AND f.object <> 'batch:' || head.batch_id
                  AND b.batch_id IS DISTINCT FROM head.batch_id) AS fits
      FROM head JOIN lockkeeper.ddl_job AS j ON j.batch_id = head.batch_id
                                            AND j.batch_seq > head.batch_seq
     ORDER BY j.batch_seq LIMIT $5::integer FOR UPDATE OF j SKIP LOCKED),
numbered AS (
    SELECT l.id, l.batch_seq, l.fits, h.batch_seq + row_number() OVER (ORDER BY l.batch_seq) AS without_gap
      FROM later AS l, head AS h),
alone AS (
    SELECT j.id FROM lockkeeper.ddl_job AS j, head, lockkeeper.ddl_floor AS f
     WHERE head.batch_id IS NULL AND f.pool = head.pool AND f.priority = 0
       AND j.state = 'queueing' AND j.waits = 0 AND j.parsed AND j.pool = head.pool
       AND j.priority = 0 AND j.id + 0 >= lockkeeper.floor_of(f) AND j.instant AND j.transactional
       AND j.retry_at IS NULL AND j.tries = 0 AND j.crashes = 0 AND j.batch_id IS NULL
       AND j.role = head.role AND j.search_path = head.search_path AND j.settings = head.settings
     ORDER BY j.id + 0 LIMIT $5::integer FOR UPDATE OF j SKIP LOCKED),
chosen AS (
    SELECT a.id FROM alone AS a
    UNION ALL
    SELECT l.id FROM numbered AS l
     WHERE l.batch_seq < coalesce((SELECT min(n.batch_seq) FROM numbered AS n
                                    WHERE NOT n.fits OR n.batch_seq <> n.without_gap), 2147483647))
UPDATE lockkeeper.ddl_job AS j
   SET state = 'running', state_since = pg_catalog.clock_timestamp(), epoch = j.epoch + 1,
       claimed_by = $2::integer, claimed_pid = pg_catalog.pg_backend_pid(), worker = $3,
       process = $4::bigint,
       started_at = coalesce(j.started_at, pg_catalog.clock_timestamp())
  FROM chosen WHERE j.id = chosen.id AND j.state = 'queueing'
RETURNING j.id, j.epoch, j.action, pg_catalog.to_json(j.statements) AS statements, j.role,
          j.search_path, j.settings, j.parsed, j.transactional, j.opaque, j.unparsed_run, j.instant,
          j.outside_started, j.tries, j.crashes, j.error,
          extract(epoch FROM pg_catalog.clock_timestamp() - j.submitted_at) AS waited;
