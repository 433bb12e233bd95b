-- One row when so much of the table of step $2 (int) of job $1 (bigint) was written since its last VACUUM that it is
-- time for another one; that is remembered. Row lock. Caller: jobs/backfill.
UPDATE lockkeeper.ddl_reorg AS r SET vacuumed = d.blocks
  FROM (SELECT coalesce(pg_catalog.sum(t.next_block - t.first_block), 0)::bigint AS blocks
          FROM lockkeeper.ddl_subtask AS t WHERE t.job_id = $1::bigint AND t.seq = $2::integer) AS d
 WHERE r.job_id = $1::bigint AND r.seq = $2::integer
   AND d.blocks - r.vacuumed >= greatest(r.blocks / 10, 2048) AND d.blocks < r.blocks
RETURNING r.vacuumed;
