/*
  Warnings:

  - You are about to drop the column `content` on the `Post` table. All the data in the column will be lost.
  - A unique constraint covering the columns `[authorId,title]` on the table `Post` will be added; with a ; in the comment.

*/
-- AlterTable
ALTER TABLE "prisma"."Post" DROP COLUMN "content",
ADD COLUMN     "body" TEXT,
ADD COLUMN     "tags" TEXT[] DEFAULT ARRAY[]::TEXT[],
ALTER COLUMN "title" SET DATA TYPE TEXT;

-- CreateIndex
CREATE UNIQUE INDEX "Post_authorId_title_key" ON "prisma"."Post"("authorId", "title");

-- CreateIndex
CREATE INDEX "Post_tags_idx" ON "prisma"."Post" USING GIN ("tags");
