-- One row: job $1 (bigint) as JSON, from the queue or from history; none: there is no such job.
-- Caller: jobs/view.
SELECT pg_catalog.row_to_json(j) AS job FROM lockkeeper.jobs AS j WHERE j.id = $1::bigint
UNION ALL
SELECT pg_catalog.row_to_json(h) FROM lockkeeper.history AS h WHERE h.id = $1::bigint
LIMIT 1;
