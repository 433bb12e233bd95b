-- One row: how many jobs were paused or resumed. $1 (bool): the upgrade begins. Row locks in the queue.
-- Caller: jobs/steer.
SELECT lockkeeper.upgrade($1::boolean) AS moved;
