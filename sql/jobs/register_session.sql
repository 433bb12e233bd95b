-- One row. Makes the session known as a worker's, in which no job may use the queue. Caller: jobs/queue.
SELECT lockkeeper.register_session();
