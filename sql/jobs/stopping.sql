-- A row per claimed job that is to be cancelled or paused. Caller: jobs/queue.
SELECT j.id FROM lockkeeper.ddl_job AS j
 WHERE j.claimed_by IS NOT NULL AND j.state IN ('cancelling', 'pausing') ORDER BY j.id;
