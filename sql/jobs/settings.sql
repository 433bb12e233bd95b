-- A row per setting of the queue that is not at its default. Locks nothing. Caller: jobs/queue.
SELECT s.name, s.value FROM lockkeeper.ddl_setting AS s;
