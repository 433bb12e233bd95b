ALTER TABLE "rails"."not_yet" ADD "parent_id" bigint;
CREATE  INDEX CONCURRENTLY "index_not_yet_on_parent_id" ON "rails"."not_yet"  ("parent_id");
ALTER TABLE "rails"."not_yet" ADD CONSTRAINT "fk_rails_abc" FOREIGN KEY ("parent_id") REFERENCES "rails"."not_yet" ("id") NOT VALID;
ALTER TABLE "rails"."not_yet" VALIDATE CONSTRAINT "fk_rails_abc";
