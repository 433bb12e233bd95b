-- One row: whether the wait of job $1 (bigint) is over; then it is forgotten. Of who has its claim. Row locks.
-- Caller: versions/wait.
SELECT lockkeeper.is_synced($1::bigint) AS synced;
