-- A row per table that was purged, will be by a worker (later), or could not be, of items $1 (bigint[]), $2 (int) at most. Drops tables. Caller: trash.
SELECT p.id, p.name, p.problem, p.later FROM lockkeeper.purge_trash($1::bigint[], $2::integer) AS p;
