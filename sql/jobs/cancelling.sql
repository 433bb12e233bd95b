-- A row per claimed job that is to be cancelled. Caller: jobs/queue.
SELECT j.id, j.claimed_by FROM lockkeeper.ddl_job AS j
 WHERE j.claimed_by IS NOT NULL AND j.state = 'cancelling' ORDER BY j.id;
