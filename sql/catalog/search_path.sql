-- One row: the session's search_path. Locks nothing. Caller: catalog/reader.
SELECT pg_catalog.current_setting('search_path') AS path;
