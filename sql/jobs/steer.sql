-- A row per job that was to be steered: $1 verb (text), $2 which (jsonb), as lockkeeper.steer has them.
-- Row locks in the queue. Caller: jobs/steer.
SELECT s.id, s.state, s.done, s.answer FROM lockkeeper.steer($1, $2::jsonb) AS s ORDER BY s.id;
