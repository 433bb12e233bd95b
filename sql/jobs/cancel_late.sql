-- A row per job that is being cancelled now because its deadline has passed. Locks as a cancel. Caller: jobs/steer.
SELECT l.id, l.state, l.answer FROM lockkeeper.cancel_late() AS l;
