-- A row per job that lockkeeper.end_jobs of this session claimed last, with how many jobs its calls made
-- ready since this was asked last, and how many of the last ones wait for nodes (done); one row at least, id
-- NULL: none. Locks nothing. Caller: jobs/queue.
SELECT one.made_ready, one.done,
       j.id, j.epoch, j.action, pg_catalog.to_json(j.statements) AS statements, j.role,
       j.search_path, j.settings, j.parsed, j.transactional, j.opaque, j.unparsed_run, j.instant,
       j.outside_started, j.tries, j.crashes, j.error,
       extract(epoch FROM pg_catalog.clock_timestamp() - j.submitted_at) AS waited
  FROM (SELECT pg_catalog.current_setting('lockkeeper.made_ready', true) AS made_ready,
               coalesce(nullif(pg_catalog.current_setting('lockkeeper.done', true), ''), '0') AS done,
               pg_catalog.set_config('lockkeeper.made_ready', '0', false) AS reset,
               pg_catalog.set_config('lockkeeper.done', '0', false) AS reset_done OFFSET 0) AS one
  LEFT JOIN lockkeeper.ddl_job AS j
         ON j.id = ANY (pg_catalog.current_setting('lockkeeper.claimed', true)::bigint[])
 ORDER BY j.id;
