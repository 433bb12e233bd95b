-- One row: how many old diffs were deleted, $1 (int) at most. Row locks. Caller: jobs/queue.
SELECT lockkeeper.purge_diffs($1::integer) AS purged;
