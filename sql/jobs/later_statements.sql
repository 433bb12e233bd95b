-- A row per statement that comes after job $1 (bigint) in its batch, in their order. Locks nothing. Caller: jobs/steps.
SELECT s.statement
  FROM lockkeeper.ddl_job AS j
  JOIN lockkeeper.ddl_job AS l ON l.batch_id = j.batch_id AND l.batch_seq > j.batch_seq,
       LATERAL pg_catalog.unnest(l.statements) WITH ORDINALITY AS s(statement, n)
 WHERE j.id = $1::bigint ORDER BY l.batch_seq, s.n;
