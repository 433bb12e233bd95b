-- One row. Ends job $1 (bigint), which is locked by the caller, with error $2 (jsonb).
-- Caller: jobs/queue.
SELECT lockkeeper.end_cancelled(ARRAY[($1::bigint, $1::bigint)::lockkeeper.falling], NULL, $2::jsonb, '', '{}');
