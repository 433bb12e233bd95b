-- One row: what became of jobs that did their work (lockkeeper.end_jobs). $1 ids, $2 epochs (bigint[]),
-- $3 steps (jsonb). Row locks in the queue, the version row last. Caller: jobs/queue.
SELECT e.outcome, e.made_ready
  FROM lockkeeper.end_jobs($1::bigint[], $2::bigint[], $3::jsonb) AS e;
