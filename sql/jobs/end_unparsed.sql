-- One row. Ends job $1 (bigint), which is locked by the caller, with error $2 (jsonb).
-- Caller: jobs/queue.
SELECT lockkeeper.to_history(ARRAY[$1::bigint], 'cancelled', $2::jsonb, NULL) AS made_ready;
