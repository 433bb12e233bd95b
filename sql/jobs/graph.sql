-- A row per job and job that it waits for next (waits_for NULL: for nothing), in id order, of the first
-- $1 (int) unfinished jobs. Caller: jobs/view.
WITH shown AS (SELECT j.id, j.state, j.action, j.statement FROM lockkeeper.jobs AS j ORDER BY j.id LIMIT $1::integer)
SELECT s.id, s.state, s.action, s.statement, w.waits_for, w.object
  FROM shown AS s
  LEFT JOIN lockkeeper.waits_for((SELECT pg_catalog.array_agg(t.id) FROM shown AS t)) AS w ON w.id = s.id
 ORDER BY s.id, w.waits_for, w.object;
