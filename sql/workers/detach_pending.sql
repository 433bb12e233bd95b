-- A row when the partition named $1 (text, quoted) was half detached by DETACH PARTITION CONCURRENTLY; then
-- only FINALIZE ends it. `there`: it is still a partition. Locks nothing. Caller: workers/outside.
SELECT i.inhdetachpending AS pending
  FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = pg_catalog.to_regclass($1);
