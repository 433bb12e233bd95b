-- A row per unfinished job that a footprint would wait for: $1 objects (text[] as jsonb array),
-- $2 exclusives (jsonb array). Caller: jobs/submit (plan).
SELECT c.id, c.object FROM lockkeeper.conflicts_of(
    ARRAY(SELECT pg_catalog.jsonb_array_elements_text($1::jsonb)),
    ARRAY(SELECT pg_catalog.jsonb_array_elements_text($2::jsonb)::boolean)) AS c;
