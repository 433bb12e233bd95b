-- A row per wait that node $1 (bigint), which has loaded version $2 (bigint), may acknowledge; none when that is done
-- with it, $3 (bool). Row locks. Caller: versions/syncer.
SELECT s.job_id, s.version, pg_catalog.to_json(s.objects) AS objects
  FROM lockkeeper.sync_node($1::bigint, $2::bigint, $3::boolean) AS s;
