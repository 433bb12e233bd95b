-- One row: the id of a new node. $1 name (text), $2 lease in ms (bigint). Caller: versions/syncer.
SELECT lockkeeper.register_node($1::text, pg_catalog.make_interval(secs => $2::bigint / 1000.0)) AS node;
