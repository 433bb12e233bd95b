-- One row: does any job wait for nodes, its work being done, and are there nodes at all? Locks nothing.
-- Caller: jobs/queue.
SELECT EXISTS (SELECT FROM lockkeeper.ddl_job AS j WHERE j.state = 'done') AS some,
       EXISTS (SELECT FROM lockkeeper.ddl_node) AS nodes;
