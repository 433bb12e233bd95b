-- A row per pool: how many jobs are ready in it, 64 at most, and whether text from psql is to be parsed.
-- Locks nothing. Caller: jobs/queue.
SELECT p.pool, (SELECT count(*) FROM (
           SELECT FROM lockkeeper.ddl_floor AS f, LATERAL (
               SELECT FROM lockkeeper.ddl_job AS j
                WHERE j.state = 'queueing' AND j.waits = 0 AND j.parsed AND j.pool = p.pool
                  AND j.priority = f.priority AND j.id + 0 >= lockkeeper.floor_of(f)
                  AND (j.retry_at IS NULL OR j.retry_at <= pg_catalog.clock_timestamp())
                ORDER BY j.id + 0 LIMIT 64) AS r
            WHERE f.pool = p.pool LIMIT 64) AS c) AS ready,
       EXISTS (SELECT FROM lockkeeper.ddl_job AS u WHERE NOT u.parsed AND u.state = 'queueing') AS unparsed
  FROM (VALUES ('general'), ('reorg')) AS p(pool)
 WHERE NOT EXISTS (SELECT FROM lockkeeper.ddl_setting AS s 
                    WHERE (s.name = 'queue' AND s.value <> 'running') OR s.name = 'upgrade');
