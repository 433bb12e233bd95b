-- One row. Its commit is flushed (and replicated, where that is asked for), and with it everything that
-- was committed before: what was seen to have ended has ended for good. Caller: jobs/view.
SELECT pg_catalog.pg_logical_emit_message(true, 'lockkeeper', 'seen')::pg_catalog.text AS lsn;
