BEGIN;
ALTER TABLE "django_content_type" ADD COLUMN "name" varchar(100) NULL;
--
-- Raw Python operation
--
-- THIS OPERATION CANNOT BE WRITTEN AS SQL
--
ALTER TABLE "django_content_type" DROP COLUMN "name" CASCADE;
COMMIT;
