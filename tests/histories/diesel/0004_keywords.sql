CREATE TABLE keywords (id serial primary key, keyword text not null, crates_cnt int not null default 0);
CREATE TABLE crates_keywords (crate_id int not null references crates, keyword_id int not null references keywords, primary key (crate_id, keyword_id));
CREATE FUNCTION update_keywords_crates_cnt() RETURNS trigger AS $body$
BEGIN
    IF (TG_OP = 'INSERT') THEN
        UPDATE keywords SET crates_cnt = crates_cnt + 1 WHERE id = NEW.keyword_id;
        return NEW;
    ELSIF (TG_OP = 'DELETE') THEN
        UPDATE keywords SET crates_cnt = crates_cnt - 1 WHERE id = OLD.keyword_id;
        return OLD;
    END IF;
END
$body$ LANGUAGE plpgsql;
CREATE TRIGGER trigger_update_keywords_crates_cnt
BEFORE INSERT OR DELETE
ON crates_keywords
FOR EACH ROW EXECUTE PROCEDURE update_keywords_crates_cnt();
