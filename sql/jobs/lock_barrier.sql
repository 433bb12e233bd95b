-- One row. Before next_unparsed and file_parsed in one transaction: keeps the order of locks.
-- An advisory lock until commit. Caller: jobs/queue.
SELECT lockkeeper.lock_barrier();
