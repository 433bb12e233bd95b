-- One row: the oldest job that is still text from psql, locked; none: there is none.
-- Row lock only, SKIP LOCKED. Caller: jobs/queue.
SELECT j.id, j.epoch, j.action, pg_catalog.to_json(j.statements) AS statements, j.role,
       j.search_path, j.settings, j.parsed, j.transactional, j.opaque, j.unparsed_run, j.instant,
       j.outside_started, j.tries, j.crashes, j.error, 0 AS waited
  FROM lockkeeper.ddl_job AS j
 WHERE NOT j.parsed AND j.state = 'queueing'
   AND NOT EXISTS (SELECT FROM lockkeeper.ddl_setting AS s 
                    WHERE (s.name = 'queue' AND s.value <> 'running') OR s.name = 'upgrade')
 ORDER BY j.id LIMIT 1 FOR UPDATE SKIP LOCKED;
