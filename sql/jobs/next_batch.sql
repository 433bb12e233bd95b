-- One row: blocks of the table that the caller is to fill in its transaction; none: nothing is free (or, if $4
-- (boolean) says to wait for others, nothing is left). $1 job (bigint), $2 epoch (bigint), $3 step (int). Row lock.
-- Caller: jobs/backfill.
SELECT b.n, b.next_block, b.end_block, b.batch_ms, b.rows_per_second, b.threads
  FROM lockkeeper.next_batch($1::bigint, $2::bigint, $3::integer, $4::boolean) AS b;
