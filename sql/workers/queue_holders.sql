-- A row per other transaction that holds a lock of the queue itself which the end of job $1 (bigint) needs: one that
-- submitted for the same objects and is still open, oldest first. The columns are those of workers/blockers. The keys
-- are those of lockkeeper.lock_keys. Locks nothing. Caller: workers/executor.
WITH wanted AS (
    SELECT f.object, f.exclusive, (pg_catalog.hashtext(f.object)::pg_catalog.int8 & 4294967295)::pg_catalog.oid AS key
      FROM lockkeeper.ddl_job_footprint AS f WHERE f.job_id = $1::bigint),
held AS (
    SELECT l.pid, l.virtualtransaction, l.mode, l.classid, l.objid
      FROM pg_catalog.pg_locks AS l
     WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
       AND l.classid IN (1280009593, 1280009594) AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
       AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())),
holders AS (
    SELECT DISTINCT ON (h.virtualtransaction) h.pid, h.virtualtransaction, h.mode,
           coalesce('the entry of ' || w.object || ' in the queue', 'the whole queue') AS object
      FROM held AS h LEFT JOIN wanted AS w ON h.classid = 1280009593 AND w.key = h.objid
     WHERE CASE WHEN h.classid = 1280009594 THEN h.mode = 'ExclusiveLock'
                ELSE w.key IS NOT NULL AND (w.exclusive OR h.mode = 'ExclusiveLock') END
     ORDER BY h.virtualtransaction, w.object)
SELECT h.pid, h.virtualtransaction AS transaction, h.mode AS held, h.object,
       extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(a.xact_start, p.prepared)) AS age,
       a.usename AS role, a.application_name AS application, a.state, a.query, p.gid, false AS autovacuum
  FROM holders AS h
  LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = h.pid
  LEFT JOIN pg_catalog.pg_locks AS x ON h.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
        AND x.virtualtransaction = h.virtualtransaction
  LEFT JOIN pg_catalog.pg_prepared_xacts AS p ON p.transaction = x.transactionid
 -- Who waits himself is not the one.
 WHERE a.wait_event_type IS DISTINCT FROM 'Lock'
 ORDER BY age DESC NULLS FIRST;
