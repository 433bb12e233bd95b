-- A row per done job that nobody held up any more, now in history; $1 (int) at most. Locks as all that moves jobs.
-- Caller: jobs/queue.
SELECT f.id FROM lockkeeper.finish_done($1::integer) AS f(id);
