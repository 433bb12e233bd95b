-- A row per table that was purged because its time is over, or could not be; $1 (int) at most. Drops tables. Caller: trash.
SELECT p.id, p.name, p.problem, false AS later FROM lockkeeper.purge_due($1::integer) AS p;
