-- A row per version after $1 (bigint), in order. Locks nothing. Caller: versions/syncer.
SELECT c.version, c.job_id, c.action, c.state_from, c.state_to, c.affected FROM lockkeeper.changes_since($1::bigint) AS c;
