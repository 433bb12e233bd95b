ALTER TABLE crates ADD COLUMN textsearchable_index_col tsvector;
UPDATE crates SET textsearchable_index_col = to_tsvector('english', name);
ALTER TABLE crates ALTER COLUMN textsearchable_index_col SET NOT NULL;
CREATE FUNCTION trigger_crates_name_search() RETURNS trigger AS $$
  begin
    new.textsearchable_index_col := setweight(to_tsvector('pg_catalog.english', coalesce(new.name, '')), 'A');
    return new;
  end
$$ LANGUAGE plpgsql;
CREATE TRIGGER trigger_crates_tsvector_update BEFORE INSERT OR UPDATE ON crates FOR EACH ROW EXECUTE PROCEDURE trigger_crates_name_search();
CREATE INDEX index_crates_name_search ON crates USING gin(textsearchable_index_col);
