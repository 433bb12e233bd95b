BEGIN;
ALTER TABLE "auth_group" ADD CONSTRAINT "group_uniq" UNIQUE ("name", "rank") DEFERRABLE INITIALLY DEFERRED;
DROP INDEX IF EXISTS "auth_group_name_a6ea08ec_like";
COMMENT ON COLUMN "auth_group"."rank" IS 'higher wins';
COMMIT;
