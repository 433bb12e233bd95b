-- One row: the server's time, in seconds since 1970. Caller: service/doctor.
SELECT extract(epoch FROM pg_catalog.clock_timestamp()) AS now;
