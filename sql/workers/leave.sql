-- Process $1 (bigint) ends in order, and holds nothing any more: it is not counted from now on. Row lock. Caller: workers/control.
UPDATE lockkeeper.ddl_worker AS w SET lease_until = least(w.lease_until, pg_catalog.clock_timestamp()) WHERE w.id = $1::bigint;
