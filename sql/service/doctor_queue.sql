-- A row per finding about the queue: subject, level (ok, note, warning, problem), finding, what to do. Locks nothing.
-- Caller: service/doctor.
SELECT f.subject, f.level, f.finding, f.mend FROM (
SELECT 1 AS n, 'workers' AS subject, CASE WHEN w.live > 0 THEN 'ok' ELSE 'problem' END AS level,
       CASE WHEN w.live > 0 THEN pg_catalog.format('%s worker process%s: %s', w.live, CASE WHEN w.live > 1 THEN 'es' ELSE '' END, w.names)
            ELSE 'no worker process serves this database' END AS finding, 'start one: lockkeeper work' AS mend
  FROM (SELECT count(*) AS live, pg_catalog.string_agg(w.name, ', ' ORDER BY w.name) AS names FROM lockkeeper.ddl_worker AS w
         WHERE w.lease_until >= pg_catalog.clock_timestamp()) AS w
UNION ALL
SELECT 2, 'rights', 'problem', pg_catalog.format('jobs of role %s wait, and this role may not act as it', j.role),
       pg_catalog.format('GRANT %I TO %I', j.role, current_user)
  FROM (SELECT DISTINCT j.role FROM lockkeeper.ddl_job AS j) AS j
 WHERE EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = j.role) AND NOT pg_catalog.pg_has_role(j.role, 'member')
UNION ALL
SELECT 3, 'queue', 'warning', CASE s.name WHEN 'upgrade' THEN 'an upgrade has begun: user jobs are paused' ELSE 'the queue is ' || s.value END,
       CASE s.name WHEN 'upgrade' THEN 'lockkeeper upgrade end' ELSE 'lockkeeper set queue running' END
  FROM lockkeeper.ddl_setting AS s WHERE (s.name = 'queue' AND s.value <> 'running') OR s.name = 'upgrade'
UNION ALL
SELECT 4, 'queue', 'warning', pg_catalog.format('job %s was set aside, because its worker died again and again', j.id),
       pg_catalog.format('lockkeeper show %s, then resume or cancel it', j.id)
  FROM lockkeeper.ddl_job AS j WHERE j.state = 'paused' AND j.paused_by = 'crashes'
UNION ALL
SELECT 5, 'queue', CASE WHEN q.old > 60 THEN 'warning' ELSE 'ok' END,
       pg_catalog.format('%s unfinished jobs, the oldest ready one has waited for %s s', q.jobs, pg_catalog.round(coalesce(q.old, 0))),
       'are all workers busy? lockkeeper jobs --state running'
  FROM (SELECT count(*) AS jobs, max(extract(epoch FROM pg_catalog.clock_timestamp() - j.state_since))
                   FILTER (WHERE j.state = 'queueing' AND j.waits = 0 AND j.retry_at IS NULL) AS old
          FROM lockkeeper.ddl_job AS j) AS q
UNION ALL
SELECT 6, 'nodes', 'warning', pg_catalog.format('node %s is %s versions behind, and holds up jobs', v.name, v.lag), 'lockkeeper nodes'
  FROM lockkeeper.nodes AS v WHERE v.lag > 1 AND pg_catalog.cardinality(v.holds_up) > 0
UNION ALL
SELECT DISTINCT 7, 'queue', 'warning', pg_catalog.format('pid %s has held locks of the queue for %s s: it has submitted, and is not committed',
           a.pid, pg_catalog.round(extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start))), 'lockkeeper blockers'
  FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid IN (1280009593, 1280009594)
   AND a.datname = pg_catalog.current_database() AND a.wait_event_type IS DISTINCT FROM 'Lock'
   AND a.xact_start < pg_catalog.clock_timestamp() - interval '2 s'
) AS f ORDER BY f.n, f.finding;
