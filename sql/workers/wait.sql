-- Waits for $1 (float8) seconds; a cancel of the job ends it. Caller: workers/executor.
SELECT pg_catalog.pg_sleep($1::float8) IS NULL AS waited;
