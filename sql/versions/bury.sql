-- A row per node that was buried: it does not live any more. Row locks. Caller: versions/wait.
SELECT b.id, b.name, b.why FROM lockkeeper.bury_nodes() AS b;
