-- One row: what the session's role, search_path and settings are, to be captured with a job.
-- Caller: jobs/submit, workers/environment.
SELECT pg_catalog.current_setting('search_path') AS search_path,
       lockkeeper.statement_settings() AS settings,
       SESSION_USER AS login, lockkeeper.acting_role() AS role;
