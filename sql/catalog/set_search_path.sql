-- Sets the search_path to $1 (text) for the rest of the transaction. Locks nothing. Caller: catalog/reader.
SELECT pg_catalog.set_config('search_path', $1, true);
