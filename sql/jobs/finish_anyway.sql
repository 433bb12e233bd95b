-- A row: job $1 (bigint) may end well, although somebody wanted it stopped: what it did outside of a
-- transaction is done. $2 epoch (bigint). Row lock. Caller: jobs/queue.
UPDATE lockkeeper.ddl_job AS j SET state = 'running', paused_by = NULL
 WHERE j.id = $1::bigint AND j.epoch = $2::bigint AND j.state IN ('cancelling', 'pausing')
RETURNING j.id;
