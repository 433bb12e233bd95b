-- AlterTable
ALTER TABLE "prisma"."_CategoryToPost" ADD CONSTRAINT "_CategoryToPost_AB_pkey" PRIMARY KEY ("A", "B");
-- DropIndex
DROP INDEX "prisma"."_CategoryToPost_AB_unique";
