-- One row: the version of the database. $1 node (bigint). Row lock. Caller: versions/syncer.
SELECT lockkeeper.heartbeat_node($1::bigint) AS version;
