ALTER TABLE "auth_group" RENAME COLUMN "priority" TO "rank";
CREATE INDEX CONCURRENTLY "auth_group_rank_idx" ON "auth_group" ("rank" DESC NULLS LAST);
ALTER TABLE "django_session" RENAME TO "sessions_session";
