-- A row per unfinished job that must end before a footprint's turn comes, the nearest first: $1 objects
-- (text[] as jsonb array), $2 exclusives (jsonb array). Caller: jobs/submit (plan).
SELECT c.id, c.distance, c.because, c.object FROM lockkeeper.chain_of(
    ARRAY(SELECT pg_catalog.jsonb_array_elements_text($1::jsonb)),
    ARRAY(SELECT pg_catalog.jsonb_array_elements_text($2::jsonb)::boolean)) AS c
 ORDER BY c.distance, c.id DESC;
