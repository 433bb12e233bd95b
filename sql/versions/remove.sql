-- One row: whether node $1 (bigint) was there. Row lock. Caller: versions/syncer.
SELECT lockkeeper.remove_node($1::bigint) AS known;
