-- $1 node (bigint), $2 jobs (bigint[]), $3 their versions (bigint[]). Row locks. Caller: versions/syncer.
SELECT lockkeeper.acknowledge($1::bigint, $2::bigint[], $3::bigint[]);
