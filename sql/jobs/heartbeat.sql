-- One row: the id of this process, which lives for $3 (int) ms more. $1 its id (bigint or NULL), $2 its
-- name (text). Row lock on its own row. Caller: jobs/queue.
SELECT lockkeeper.heartbeat($1::bigint, $2, pg_catalog.make_interval(secs => $3::integer / 1000.0)) AS id;
