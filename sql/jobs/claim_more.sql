-- A row per further job that may share the transaction of instant job $1 (bigint), which the caller has
-- claimed. $2 worker session (int), $3 its name (text), $4 process (bigint), at most $5 (int). Row locks,
-- SKIP LOCKED. Caller: jobs/queue.
SELECT j.id, j.epoch, j.action, pg_catalog.to_json(j.statements) AS statements, j.role,
       j.search_path, j.settings, j.parsed, j.transactional, j.opaque, j.unparsed_run, j.instant,
       j.outside_started, j.tries, j.crashes, j.error,
       extract(epoch FROM pg_catalog.clock_timestamp() - j.submitted_at) AS waited
  FROM lockkeeper.claim_more($1::bigint, $2::integer, $3, $4::bigint, $5::integer) AS j;
