-- A row: remembered; none: the claim is lost, or the job is to be stopped. $1 job (bigint),
-- $2 epoch (bigint), $3 kind, $4 statement, $5 what is there before (jsonb), $6 backend that runs it
-- (int), $7 number of the step (int). Caller: jobs/queue.
WITH held AS (
    UPDATE lockkeeper.ddl_job AS j
       SET outside_started = true, outside_pid = $6::integer,
           -- a job with a plan is known by it
           transactional = j.transactional AND EXISTS (SELECT FROM lockkeeper.ddl_step AS s
                                                        WHERE s.job_id = j.id AND s.detail <> '{}')
     WHERE j.id = $1::bigint AND j.epoch = $2::bigint AND j.state = 'running'
    RETURNING j.id)
INSERT INTO lockkeeper.ddl_step (job_id, seq, kind, statement, state, before, started_at)
SELECT held.id, $7::integer, $3, $4, 'running', $5::jsonb, pg_catalog.clock_timestamp() FROM held
ON CONFLICT (job_id, seq) DO UPDATE SET state = 'running', before = excluded.before,
    started_at = excluded.started_at
RETURNING job_id;
