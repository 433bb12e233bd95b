-- One row: whether the wait of job $1 (bigint) is over; then it is forgotten, and acks has the seconds that each node took to
-- acknowledge it (JSON): the function takes those away, and this statement still sees them. Of who has its claim. Row locks.
-- Caller: versions/wait.
SELECT s.synced, CASE WHEN s.synced THEN
           (SELECT coalesce(pg_catalog.jsonb_agg(extract(epoch FROM a.acked_at - m.since)), '[]')
              FROM lockkeeper.ddl_node_ack AS a
              JOIN lockkeeper.ddl_mdl_info AS m ON m.job_id = a.job_id AND m.version = a.version
             WHERE a.job_id = $1::bigint)::text ELSE '[]' END AS acks
  FROM (SELECT lockkeeper.is_synced($1::bigint) AS synced OFFSET 0) AS s;
