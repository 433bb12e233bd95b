-- One row: the state of job $1 (bigint) after its worker paused it. Row lock. Caller: jobs/queue.
SELECT p.state FROM lockkeeper.ddl_job AS j, LATERAL lockkeeper.pause_one(j, 'user') AS p
 WHERE j.id = $1::bigint AND j.epoch = $2::bigint;
