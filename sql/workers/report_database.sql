-- One row: what there is to say of the database as a whole. Locks nothing. Caller: workers/reporter.
SELECT (SELECT v.version FROM lockkeeper.ddl_schema_version AS v ORDER BY v.version DESC LIMIT 1) AS schema_version,
       (SELECT max(m.version) FROM lockkeeper.ddl_migration AS m) AS migrations,
       (SELECT count(*) FROM lockkeeper.ddl_worker AS w WHERE w.lease_until >= pg_catalog.clock_timestamp()) AS processes,
       (SELECT greatest(c.reltuples, 0) FROM pg_catalog.pg_class AS c
         WHERE c.oid = 'lockkeeper.ddl_history'::pg_catalog.regclass) AS history,
       (SELECT CASE WHEN NOT coalesce(bool_or(s.state IS NULL), false) THEN coalesce(max(extract(epoch FROM s.replay_lag)), 0) END
          FROM pg_catalog.pg_stat_replication AS s) AS lag,
       (SELECT count(*) FROM lockkeeper.ddl_trash AS t) AS trash_tables,
       (SELECT coalesce(sum(t.bytes), 0) FROM lockkeeper.ddl_trash AS t) AS trash_bytes,
       (SELECT count(*) FROM (
            SELECT DISTINCT k.pid FROM pg_catalog.pg_locks AS k
             WHERE NOT k.granted AND k.pid IN (SELECT a.pid FROM pg_catalog.pg_stat_activity AS a
                                                WHERE a.datname = pg_catalog.current_database())) AS w
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a
                            WHERE a.pid = w.pid AND a.application_name LIKE 'lockkeeper %')
           AND EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a
                        WHERE a.pid = ANY (pg_catalog.pg_blocking_pids(w.pid))
                          AND a.application_name LIKE 'lockkeeper %')) AS stalled,
       r.backfills, r.throttled, r.done
  FROM (SELECT count(*) AS backfills, count(*) FILTER (WHERE g.throttled IS NOT NULL) AS throttled,
               coalesce(sum(t.done) / nullif(sum(g.blocks), 0), 1) AS done
          FROM lockkeeper.ddl_reorg AS g
          JOIN lockkeeper.ddl_step AS s ON s.job_id = g.job_id AND s.seq = g.seq AND s.state = 'running'
          JOIN lockkeeper.ddl_job AS j ON j.id = g.job_id AND j.state = 'running'
         CROSS JOIN LATERAL (SELECT coalesce(sum(b.next_block - b.first_block), 0) AS done
                               FROM lockkeeper.ddl_subtask AS b WHERE b.job_id = g.job_id AND b.seq = g.seq) AS t) AS r;
