-- One row. Tells channel $1 (text) payload $2 (text). Caller: workers/control.
SELECT pg_catalog.pg_notify($1, $2);
