-- One row: a job with a backfill that more workers could share, and the number of its step. None: there is none.
-- Caller: jobs/backfill.
SELECT j.id, j.epoch, j.action, pg_catalog.to_json(j.statements) AS statements, j.role,
       j.search_path, j.settings, j.parsed, j.transactional, j.opaque, j.unparsed_run, j.instant,
       j.outside_started, j.tries, j.crashes, NULL::jsonb AS error, 0 AS waited, s.seq
  FROM lockkeeper.ddl_step AS s JOIN lockkeeper.ddl_job AS j ON j.id = s.job_id
 WHERE s.kind = 'backfill' AND s.state = 'running' AND j.state = 'running'
   AND (SELECT pg_catalog.count(*) FROM lockkeeper.ddl_subtask AS t
         WHERE t.job_id = s.job_id AND t.seq = s.seq AND NOT t.done) > 1
 ORDER BY pg_catalog.random() LIMIT 1;
