-- One row: the new worker id, and whether the session now holds the lock that says it lives; if not, it is
-- to be called again. 1280014187 = 'LKwk'. Advisory lock only. Caller: jobs/queue.
SELECT w.id, pg_catalog.pg_try_advisory_lock(1280014187, w.id) AS held
  FROM (SELECT pg_catalog.nextval('lockkeeper.ddl_worker_id_seq')::integer AS id) AS w;
