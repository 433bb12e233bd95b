-- One JSON object per other transaction that has held locks of the queue itself for more than a second, oldest first: an open one
-- that has submitted, for which submissions and ends of jobs of the same objects wait. whole: of all objects. Columns that
-- the role may not see are NULL. Locks nothing. Caller: jobs/view.
SELECT pg_catalog.jsonb_build_object('blocker', 'queue', 'pid', q.pid, 'prepared', q.gid, 'role', q.role, 'application', q.application,
           'transaction_state', q.state, 'transaction_age_seconds', q.age, 'whole_queue', q.whole, 'query', q.query) AS holder
  FROM (
    SELECT DISTINCT ON (since, h.virtualtransaction)
           h.pid, p.gid, a.usename AS role, a.application_name AS application, a.state, a.query,
           pg_catalog.bool_or(h.classid = 1280009594 AND h.mode = 'ExclusiveLock') OVER (PARTITION BY h.virtualtransaction) AS whole,
           coalesce(a.xact_start, p.prepared) AS since,
           extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(a.xact_start, p.prepared)) AS age
      FROM pg_catalog.pg_locks AS h
      LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = h.pid
      LEFT JOIN pg_catalog.pg_locks AS x ON h.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
            AND x.virtualtransaction = h.virtualtransaction
      LEFT JOIN pg_catalog.pg_prepared_xacts AS p ON p.transaction = x.transactionid
     WHERE h.locktype = 'advisory' AND h.granted AND h.objsubid = 2 AND h.classid IN (1280009593, 1280009594)
       AND h.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() AND a.wait_event_type IS DISTINCT FROM 'Lock'
       AND h.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
       AND coalesce(pg_catalog.clock_timestamp() - coalesce(a.xact_start, p.prepared) > interval '1 s', true)
     ORDER BY since NULLS FIRST, h.virtualtransaction) AS q
 ORDER BY q.since NULLS FIRST;
