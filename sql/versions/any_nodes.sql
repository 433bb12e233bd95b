-- One row: are there nodes? Locks nothing. Caller: versions/wait.
SELECT lockkeeper.has_nodes() AS some;
