-- A row per item of the trash, of $3 (bigint[]), that was dropped because job $1 (bigint), claim $2 (epoch, bigint), drops what it
-- is made of; or could not be, with the reason. Drops tables. Caller: trash.
SELECT p.id, p.name, p.problem, false AS later FROM lockkeeper.purge_in_the_way($1::bigint, $2::bigint, $3::bigint[]) AS p;
