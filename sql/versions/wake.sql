-- A row per job that waited in the queue for nodes and transactions and is due now: its pool. Row locks, SKIP LOCKED.
-- Caller: versions/wait.
SELECT w.pool FROM lockkeeper.wake_synced() AS w(pool);
