CREATE FUNCTION canon_crate_name(text) RETURNS text AS $$
    SELECT replace(lower($1), '-', '_')
$$ LANGUAGE SQL IMMUTABLE;
DROP INDEX IF EXISTS index_crates_name_lower;
CREATE UNIQUE INDEX index_crates_name_canon ON crates (canon_crate_name(name));
ALTER TABLE crates ADD CONSTRAINT name_ok CHECK (name ~ '^[a-zA-Z][a-zA-Z0-9_-]*$');
