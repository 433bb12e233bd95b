-- One row. Changes setting $1 (text) to $2 (text or NULL: its default). Row lock. Caller: jobs/steer.
SELECT lockkeeper.set($1, $2);
