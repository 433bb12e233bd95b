-- One row: the type that $1 (text) names by the search_path in force (NULL: none). No operators: see resolve.
-- Caller: catalog/reader.
SELECT pg_catalog.to_regtype($1)::pg_catalog.oid AS oid;
