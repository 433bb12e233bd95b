-- A row per done job that nobody held up any more, now in history, with the seconds that each node took to acknowledge it (JSON);
-- $1 (int) at most. The function takes those away, and this statement still sees them. Locks as all that moves jobs. Caller: jobs/queue.
SELECT f.id, (SELECT coalesce(pg_catalog.jsonb_agg(extract(epoch FROM a.acked_at - m.since)), '[]')
                FROM lockkeeper.ddl_node_ack AS a
                JOIN lockkeeper.ddl_mdl_info AS m ON m.job_id = a.job_id AND m.version = a.version
               WHERE a.job_id = f.id)::text AS acks
  FROM lockkeeper.finish_done($1::integer) AS f(id);
