-- A row: job $1 (bigint) is not to be stopped any more: it is in the middle of what has no way back.
-- $2 epoch (bigint). Row lock. Caller: jobs/queue.
UPDATE lockkeeper.ddl_job AS j SET state = 'running', paused_by = NULL
 WHERE j.id = $1::bigint AND j.epoch = $2::bigint AND j.state IN ('cancelling', 'pausing', 'rolling back')
RETURNING j.id;
