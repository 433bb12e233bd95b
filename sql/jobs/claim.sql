-- A row per claimed job; none: nothing is ready. $1 worker session (int), $2 its name (text),
-- $3 process (bigint), $4 pool (text). Row lock only; SKIP LOCKED: claimers neither wait for nor share
-- a job. $5 (int): so many at most, more than one only of a long queue. Caller: jobs/queue.
SELECT j.id, j.epoch, j.action, pg_catalog.to_json(j.statements) AS statements, j.role,
       j.search_path, j.settings, j.parsed, j.transactional, j.opaque, j.unparsed_run, j.instant,
       j.outside_started, j.tries, j.crashes, j.error,
       extract(epoch FROM pg_catalog.clock_timestamp() - j.submitted_at) AS waited
  FROM lockkeeper.claim($1::integer, $2, $3::bigint, $4, $5::integer) AS j
 ORDER BY j.id;
