-- A row per finding about the server and what the role may do: subject, level (ok, note, warning, problem), finding,
-- what to do. Works without the lockkeeper schema. $1: sessions that a worker process may need (int). Locks nothing.
-- Caller: service/doctor.
WITH me AS (SELECT r.rolsuper AS super FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user),
number AS (SELECT s.name, CASE s.unit WHEN 'ms' THEN s.reset_val::float8 / 1000 ELSE s.reset_val::float8 END AS value
             FROM pg_catalog.pg_settings AS s WHERE s.vartype IN ('integer', 'real')),
setting AS (SELECT s.name, s.reset_val AS value FROM pg_catalog.pg_settings AS s)
SELECT f.subject, f.level, f.finding, f.mend FROM (
SELECT 1 AS n, 'server' AS subject, CASE WHEN n.value >= 140000 THEN 'ok' ELSE 'problem' END AS level,
       'PostgreSQL ' || pg_catalog.current_setting('server_version') || ', database '
       || pg_catalog.current_database() || ', role ' || current_user AS finding, 'PostgreSQL 14 or later is needed' AS mend
  FROM number AS n WHERE n.name = 'server_version_num'
UNION ALL
SELECT 2, 'server', 'problem', 'the server is a standby, nothing can be changed on it',
       'connect to the primary: add target_session_attrs=read-write and all hosts to the DSN'
 WHERE pg_catalog.pg_is_in_recovery()
UNION ALL
SELECT 3, 'rights', CASE WHEN o.owner OR me.super OR w.works THEN 'ok' ELSE 'problem' END,
       CASE WHEN o.owner THEN 'the role owns the database' WHEN me.super THEN 'the role is a superuser'
            WHEN w.works THEN 'the role has the right to work (the owner of the database migrates)'
            ELSE 'the role may neither "migrate" nor "work"' END,
       pg_catalog.format('run them as %I, or give a role of its own the right to work: lockkeeper migrate --roles', o.name)
  FROM me, LATERAL (SELECT pg_catalog.pg_has_role(d.datdba, 'member') AS owner, pg_catalog.pg_get_userbyid(d.datdba) AS name
                      FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()) AS o,
       -- Whoever may claim has got the whole right (grant_right), and the trash needs schemas of its own.
       LATERAL (SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create') AND EXISTS (
                       SELECT FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
                        WHERE n.nspname = 'lockkeeper' AND p.proname = 'claim' AND pg_catalog.has_schema_privilege(n.oid, 'usage')
                          AND pg_catalog.has_function_privilege(p.oid, 'execute')) AS works) AS w
UNION ALL
SELECT 4, 'rights', 'note', 'the role is a superuser', 'the owner of the database suffices, and can break less' FROM me WHERE me.super
UNION ALL
SELECT 5, 'rights', 'note', 'queries and ages of other roles'' transactions are hidden from this role: blockers show less',
       pg_catalog.format('GRANT pg_read_all_stats TO %I', current_user)
 WHERE NOT pg_catalog.pg_has_role('pg_read_all_stats', 'usage')
UNION ALL
SELECT 5, 'standbys', 'warning', 'how far standbys are behind is hidden from this role: backfills do not wait for them',
       pg_catalog.format('GRANT pg_read_all_stats TO %I', current_user)
 WHERE EXISTS (SELECT FROM pg_catalog.pg_stat_replication AS s WHERE s.state IS NULL)
UNION ALL
SELECT 6, 'rights', 'note', 'this role may not end sessions of others: --kill-blockers does nothing for its jobs',
       pg_catalog.format('if you want it: GRANT pg_signal_backend TO %I', current_user)
 WHERE NOT pg_catalog.pg_has_role('pg_signal_backend', 'usage')
UNION ALL
SELECT 7, 'sessions', CASE WHEN f.free < $1::integer THEN 'problem' WHEN f.free < 2 * $1::integer THEN 'warning' ELSE 'ok' END,
       pg_catalog.format('%s of %s sessions are free, a worker process needs up to %s', f.free, f.most, $1::integer),
       'raise max_connections, or run fewer workers (set general_workers, reorg_workers)'
  FROM (SELECT m.most, m.most - m.used AS free FROM (
            -- Of the server, the database and the role: whichever is reached first. Whose a session is, this role may not see.
            SELECT n.value::integer AS most, r.value::integer + (SELECT sum(s.numbackends) FROM pg_catalog.pg_stat_database AS s)::integer AS used
              FROM number AS n, number AS r WHERE n.name = 'max_connections' AND r.name = 'superuser_reserved_connections'
            UNION ALL
            SELECT d.datconnlimit, s.numbackends FROM pg_catalog.pg_database AS d JOIN pg_catalog.pg_stat_database AS s ON s.datid = d.oid
             WHERE d.datname = pg_catalog.current_database() AND d.datconnlimit >= 0
            UNION ALL
            SELECT l.rolconnlimit, (SELECT count(*) FROM pg_catalog.pg_stat_activity AS a WHERE a.usename = current_user)::integer
              FROM pg_catalog.pg_roles AS l WHERE l.rolname = current_user AND l.rolconnlimit >= 0) AS m
         ORDER BY free LIMIT 1) AS f
UNION ALL
SELECT 8, 'locks', CASE WHEN t.tables * 4 > n.value * c.value THEN 'warning' ELSE 'ok' END,
       pg_catalog.format('max_locks_per_transaction is %s, the largest partitioned table has %s partitions', n.value, t.tables),
       'raise max_locks_per_transaction (needs a restart): a change of all partitions locks each, and its indexes'
  FROM number AS n, number AS c, LATERAL (
       SELECT coalesce(max((SELECT count(*) FROM pg_catalog.pg_partition_tree(p.partrelid))), 0) AS tables
         FROM pg_catalog.pg_partitioned_table AS p) AS t
 WHERE n.name = 'max_locks_per_transaction' AND c.name = 'max_connections'
UNION ALL
SELECT 9, 'locks', 'warning', pg_catalog.format('deadlock_timeout is %s s, a batch of a backfill waits up to 0.2 s for a row', n.value),
       'set it to 1s, its default: otherwise the application may be told of deadlocks with a backfill'
  FROM number AS n WHERE n.name = 'deadlock_timeout' AND n.value <= 0.2
UNION ALL
SELECT 10, 'transactions', 'note', 'idle_in_transaction_session_timeout is off: a forgotten transaction holds jobs up for ever',
       pg_catalog.format('ALTER DATABASE %I SET idle_in_transaction_session_timeout = ''5min''', pg_catalog.current_database())
  FROM number AS n WHERE n.name = 'idle_in_transaction_session_timeout' AND n.value = 0
UNION ALL
SELECT 11, 'transactions', 'warning', pg_catalog.format('pid %s (role %s, application "%s", %s) has a transaction open for %s s', a.pid,
       a.usename, a.application_name, a.state, pg_catalog.round(extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start))),
       pg_catalog.format('jobs on its tables wait for it, if nobody needs it: SELECT pg_terminate_backend(%s)', a.pid)
  FROM pg_catalog.pg_stat_activity AS a
 WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
   AND a.xact_start < pg_catalog.clock_timestamp() - interval '1 minute' AND a.application_name NOT LIKE 'lockkeeper %'
UNION ALL
SELECT 12, 'transactions', 'warning', pg_catalog.format('prepared transaction %L has been there since %s', x.gid, x.prepared),
       pg_catalog.format('COMMIT PREPARED or ROLLBACK PREPARED %L', x.gid)
  FROM pg_catalog.pg_prepared_xacts AS x
 WHERE x.database = pg_catalog.current_database() AND x.prepared < pg_catalog.clock_timestamp() - interval '1 minute'
UNION ALL
SELECT 13, 'transactions', 'warning', 'default_transaction_isolation is ' || s.value || ', in which jobs cannot be submitted',
       'submit in READ COMMITTED transactions'
  FROM setting AS s WHERE s.name = 'default_transaction_isolation' AND s.value <> 'read committed'
UNION ALL
SELECT 14, 'safety', 'problem', s.name || ' is off: a crash of the server loses or breaks data', 'set it on'
  FROM setting AS s WHERE s.name IN ('fsync', 'full_page_writes') AND s.value = 'off'
UNION ALL
SELECT 15, 'safety', 'warning', 'autovacuum is off: the job table and backfilled tables grow', 'set it on'
  FROM setting AS s WHERE s.name = 'autovacuum' AND s.value = 'off'
UNION ALL
SELECT 16, 'indexes', 'warning', pg_catalog.format('index %s is not valid: it costs writes and serves no query', i.indexrelid::pg_catalog.regclass),
       pg_catalog.format('lockkeeper submit ''REINDEX INDEX CONCURRENTLY %s'', or drop it', i.indexrelid::pg_catalog.regclass)
  FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid AND c.relkind = 'i'
 WHERE NOT i.indisvalid AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_create_index AS p WHERE p.index_relid = i.indexrelid)
UNION ALL
SELECT 17, 'triggers', 'note', pg_catalog.format('event trigger %I runs at changes of the schema, also at ours', e.evtname),
       'what it does is part of each job: if it fails, the job does'
  FROM pg_catalog.pg_event_trigger AS e WHERE e.evtenabled <> 'D'
) AS f ORDER BY f.n, f.finding;
