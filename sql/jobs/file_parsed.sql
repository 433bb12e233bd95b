-- One row. Gives job $1 (bigint) the footprint that its text has; $2: its spec (jsonb).
-- Locks the queue's barrier for a moment. Caller: jobs/submit.
SELECT lockkeeper.file_parsed($1::bigint, $2::jsonb);
