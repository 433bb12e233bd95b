-- One row: the job's state after it. $1 job (bigint). Row lock. Caller: jobs/submit.
SELECT lockkeeper.cancel($1::bigint) AS state;
