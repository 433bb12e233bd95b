BEGIN;
ALTER TABLE "auth_group" ADD COLUMN "priority" integer DEFAULT 5 NOT NULL;
ALTER TABLE "auth_group" ALTER COLUMN "priority" DROP DEFAULT;
ALTER TABLE "auth_group" ADD CONSTRAINT "priority_positive" CHECK ("priority" >= 0);
COMMIT;
