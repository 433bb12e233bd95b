-- A row per statement that brings item $1 (bigint) back. Locks nothing. Caller: trash.
SELECT s AS statement FROM lockkeeper.restore_statements($1::bigint) AS s;
