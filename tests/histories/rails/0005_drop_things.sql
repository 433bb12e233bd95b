DROP INDEX CONCURRENTLY IF EXISTS rails.index_things_on_owner;
ALTER TABLE rails.things DROP COLUMN range, DROP COLUMN IF EXISTS nothing;
CREATE TABLE rails.to_drop (a int);
DROP TABLE IF EXISTS rails.to_drop, rails.never_was CASCADE;
