-- A row per claim whose backend was ended, because its process is silent beyond its lease.
-- Locks nothing. Caller: jobs/queue.
SELECT e.id, e.worker FROM lockkeeper.end_silent() AS e;
