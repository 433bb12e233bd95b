-- A row per job: its id, and whether it was there already (same key). $1 jobs, $2 options (jsonb).
-- Advisory transaction locks on the objects. Caller: jobs/submit.
SELECT e.id, e.existing FROM lockkeeper.enqueue($1::jsonb, $2::jsonb) AS e ORDER BY e.id;
