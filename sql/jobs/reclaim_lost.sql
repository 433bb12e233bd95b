-- A row per job that was taken from a session that is gone, with its state now. $1 (int): deaths of
-- workers after which a job is set aside. Row locks, SKIP LOCKED. Caller: jobs/queue.
SELECT r.id, r.worker, r.state FROM lockkeeper.reclaim_lost($1::integer) AS r;
