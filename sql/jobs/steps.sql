-- A row per step of the kept plan of job $1 (bigint), in order; none: it has no plan. Caller: jobs/steps.
SELECT s.seq, s.state, s.detail FROM lockkeeper.ddl_step AS s
 WHERE s.job_id = $1::bigint AND s.detail <> '{}' ORDER BY s.seq;
