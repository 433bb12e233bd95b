-- A row per job that was handed back because the session of its worker is gone.
-- Row locks, SKIP LOCKED. Caller: jobs/queue.
SELECT r.id, r.worker FROM lockkeeper.reclaim_lost() AS r;
