-- A row per transaction that holds a lock in the way of the wanted ones, oldest first; an age that the role
-- may not see is NULL and comes first. $1 (jsonb): [[oid of a table; lock mode as LOCK TABLE
-- spells it], …]. PostgreSQL manual, table 13.2. Locks nothing. Caller: workers/executor.
WITH wanted AS (
    SELECT (e->>0)::pg_catalog.oid::pg_catalog.regclass AS relation, e->>1 AS mode
      FROM pg_catalog.jsonb_array_elements($1::jsonb) AS w(e)),
tables AS (
    SELECT w.relation, w.mode FROM wanted AS w WHERE w.relation IS NOT NULL
    UNION
    SELECT t.relid, w.mode FROM wanted AS w, LATERAL pg_catalog.pg_partition_tree(w.relation) AS t),
conflicts(mode, least_held) AS (
    VALUES ('ACCESS SHARE', 8), ('ROW SHARE', 7), ('ROW EXCLUSIVE', 5), ('SHARE UPDATE EXCLUSIVE', 4),
           ('SHARE', 3), ('SHARE ROW EXCLUSIVE', 3), ('EXCLUSIVE', 2), ('ACCESS EXCLUSIVE', 1)),
modes(held, strength) AS (
    VALUES ('AccessShareLock', 1), ('RowShareLock', 2), ('RowExclusiveLock', 3), ('ShareUpdateExclusiveLock', 4),
           ('ShareLock', 5), ('ShareRowExclusiveLock', 6), ('ExclusiveLock', 7), ('AccessExclusiveLock', 8))
SELECT l.pid, l.virtualtransaction AS transaction, l.mode AS held, t.relation::pg_catalog.regclass::text AS object,
       extract(epoch FROM pg_catalog.clock_timestamp() - coalesce(a.xact_start, p.prepared)) AS age,
       a.usename AS role, a.application_name AS application, a.state, a.query, p.gid,
       coalesce(a.backend_type = 'autovacuum worker' AND a.query NOT LIKE '%to prevent wraparound%', false)
           AS autovacuum
  FROM tables AS t
  JOIN conflicts AS c ON c.mode = t.mode
  JOIN modes AS m ON m.strength >= c.least_held
  JOIN pg_catalog.pg_locks AS l ON l.locktype = 'relation' AND l.relation = t.relation AND l.mode = m.held
   AND l.granted AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
  LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
  LEFT JOIN pg_catalog.pg_locks AS x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
        AND x.virtualtransaction = l.virtualtransaction
  LEFT JOIN pg_catalog.pg_prepared_xacts AS p ON p.transaction = x.transactionid
 -- SHARE does not conflict with itself.
 WHERE NOT (t.mode = 'SHARE' AND l.mode = 'ShareLock')
 ORDER BY age DESC NULLS FIRST;
