-- One row. Stops what the backend with pid $1 (int) runs; its session stays.
-- Locks nothing. Caller: workers/control.
SELECT pg_catalog.pg_cancel_backend($1::integer) AS sent;
