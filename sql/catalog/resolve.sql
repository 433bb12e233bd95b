-- A row per name of $1 (jsonb: names as they are written, quoted): what relation it is by the search_path in force (NULL: none).
-- No operators: that path may be somebody's who has made some of his own. Locks nothing. Caller: catalog/reader.
SELECT n.name, pg_catalog.to_regclass(n.name)::pg_catalog.oid AS oid
  FROM pg_catalog.jsonb_array_elements_text($1::pg_catalog.jsonb) AS n(name);
