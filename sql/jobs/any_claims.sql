-- One row: is any job claimed? Locks nothing. Caller: jobs/queue.
SELECT EXISTS (SELECT FROM lockkeeper.ddl_job AS j WHERE j.claimed_by IS NOT NULL) AS some;
