-- No row. Job $1 (bigint), whose text has just been read, has text $2 from now on: the one without a password in clear
-- text. In the transaction that files it, which has its row. Caller: jobs/submit.
UPDATE lockkeeper.ddl_job SET statements = ARRAY[$2] WHERE id = $1::bigint;
