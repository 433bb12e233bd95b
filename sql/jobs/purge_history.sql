-- One row: how many ended jobs were deleted, at most $1 (int). Row locks in history. Caller: jobs/queue.
SELECT lockkeeper.purge_history($1::integer) AS purged;
