-- A row: job $1 (bigint) is paused now, its claim $2 (epoch, bigint) gone; none: nobody asked for it.
-- Row lock. Caller: jobs/queue.
UPDATE lockkeeper.ddl_job AS j
   SET state = 'paused', state_since = pg_catalog.clock_timestamp(), claimed_by = NULL,
       outside_pid = NULL
 WHERE j.id = $1::bigint AND j.epoch = $2::bigint AND j.state = 'pausing'
RETURNING j.id;
