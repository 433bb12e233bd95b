-- One row: whether backend $1 (int), which holds up job $2 (bigint), was ended; none: it does not, or the job's role may
-- not end it (PostgreSQL manual 9.28.2) and it was not the owner of the queue who asked. Needs pg_signal_backend.
-- Caller: versions/wait.
SELECT pg_catalog.pg_terminate_backend(v.pid) AS ended
  FROM lockkeeper.ddl_mdl_view AS v
  JOIN lockkeeper.ddl_job AS j ON j.id = v.job_id
  JOIN pg_catalog.pg_roles AS submitter ON submitter.rolname = j.role
  JOIN pg_catalog.pg_roles AS victim ON victim.rolname = v.role
 WHERE v.job_id = $2::bigint AND v.pid = $1::integer
   AND (NOT j.settings ? 'lockkeeper.kill_blockers' OR submitter.rolsuper
        OR NOT victim.rolsuper AND (pg_catalog.pg_has_role(submitter.oid, victim.oid, 'MEMBER')
                                    OR pg_catalog.pg_has_role(submitter.oid, 'pg_signal_backend', 'MEMBER')))
 LIMIT 1;
