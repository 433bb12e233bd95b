-- CreateTable
CREATE TABLE "prisma"."Category" ("id" SERIAL NOT NULL, "name" TEXT NOT NULL, CONSTRAINT "Category_pkey" PRIMARY KEY ("id"));
-- CreateTable
CREATE TABLE "prisma"."_CategoryToPost" (
    "A" INTEGER NOT NULL,
    "B" TEXT NOT NULL
);
CREATE UNIQUE INDEX "_CategoryToPost_AB_unique" ON "prisma"."_CategoryToPost"("A", "B");
CREATE INDEX "_CategoryToPost_B_index" ON "prisma"."_CategoryToPost"("B");
ALTER TABLE "prisma"."_CategoryToPost" ADD FOREIGN KEY ("A") REFERENCES "prisma"."Category"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "prisma"."_CategoryToPost" ADD FOREIGN KEY ("B") REFERENCES "prisma"."Post"("id") ON DELETE CASCADE ON UPDATE CASCADE;
