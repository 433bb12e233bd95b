-- One row: milliseconds until the first delayed job is due; NULL: none is delayed.
-- Caller: jobs/queue.
SELECT pg_catalog.ceil(extract(epoch FROM min(j.retry_at) - pg_catalog.clock_timestamp()) * 1000) AS due_ms
  FROM lockkeeper.ddl_job AS j
 WHERE j.state = 'queueing' AND j.waits = 0 AND j.parsed AND j.retry_at IS NOT NULL;
