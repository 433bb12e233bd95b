-- A row per job that lockkeeper.end_jobs of this session claimed last, with how many jobs it made ready;
-- one row at least, id NULL: none. Locks nothing. Caller: jobs/queue.
SELECT pg_catalog.current_setting('lockkeeper.made_ready', true) AS made_ready,
       j.id, j.epoch, j.action, pg_catalog.to_json(j.statements) AS statements, j.role,
       j.search_path, j.settings, j.parsed, j.transactional, j.opaque, j.unparsed_run, j.instant,
       j.outside_started, j.tries, j.crashes, j.error, j.batch_id,
       extract(epoch FROM pg_catalog.clock_timestamp() - j.submitted_at) AS waited
  FROM (VALUES (true)) AS one
  LEFT JOIN lockkeeper.ddl_job AS j
         ON j.id = ANY (pg_catalog.current_setting('lockkeeper.claimed', true)::bigint[])
 ORDER BY j.id;
