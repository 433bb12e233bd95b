-- One row: what is set for job $1 (bigint); none: it is not in the queue. Caller: jobs/steer.
SELECT (SELECT coalesce(pg_catalog.jsonb_object_agg(pg_catalog.substr(t.key, 12), t.value), '{}')
          FROM pg_catalog.jsonb_each(j.settings) AS t WHERE t.key LIKE 'lockkeeper.%') AS tuning
  FROM lockkeeper.ddl_job AS j WHERE j.id = $1::bigint;
