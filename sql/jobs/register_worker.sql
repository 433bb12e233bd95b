-- One row: the new worker id; the session holds the lock that says it lives. 1280014187 = 'LKwk'.
-- Advisory lock only. Caller: jobs/queue.
SELECT w.id, pg_catalog.pg_advisory_lock(1280014187, w.id)
  FROM (SELECT pg_catalog.nextval('lockkeeper.ddl_worker_id_seq')::integer AS id) AS w;
