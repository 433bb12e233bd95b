CREATE TYPE owner_kind AS ENUM ('user', 'team');
CREATE TYPE address AS (street text, zip varchar(10));
CREATE DOMAIN semver AS text CHECK (VALUE ~ '^[0-9]+\.[0-9]+');
CREATE TABLE crate_owners (crate_id int references crates, owner_id int not null, kind owner_kind not null default 'user', home address, since semver);
ALTER TYPE address ADD ATTRIBUTE country char(2);
ALTER DOMAIN semver SET DEFAULT '0.1';
CREATE INDEX CONCURRENTLY index_owners_not_deleted ON crate_owners (owner_id) WHERE kind = 'user';
