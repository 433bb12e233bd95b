-- The worker pauses job $1 (bigint), epoch $2 (bigint), because of $3 (jsonb). Row lock. Caller: jobs/queue.
SELECT lockkeeper.pause_for($1::bigint, $2::bigint, $3::jsonb);
