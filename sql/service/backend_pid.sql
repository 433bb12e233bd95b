-- One row: which session of the server this is. Caller: service/doctor.
SELECT pg_catalog.pg_backend_pid() AS pid;
