BEGIN;
INSERT INTO "django_content_type" ("app_label", "model") VALUES ('auth', 'group'), ('auth', 'permission');
INSERT INTO "auth_permission" ("name", "content_type_id", "codename") SELECT 'Can add ' || model, id, 'add_' || model FROM "django_content_type";
UPDATE "auth_permission" SET "name" = upper("name") WHERE "codename" LIKE 'add\_%';
SET CONSTRAINTS "auth_permission_content_type_id_2f476e4b_fk_django_co" IMMEDIATE;
ALTER TABLE "auth_permission" ADD COLUMN "weight" double precision NULL;
COMMIT;
