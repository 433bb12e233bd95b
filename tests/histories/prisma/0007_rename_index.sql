-- RenameIndex
ALTER INDEX "prisma"."_CategoryToPost_B_index" RENAME TO "cat_post_b";
-- RenameForeignKey
ALTER TABLE "prisma"."Profile" RENAME CONSTRAINT "Profile_userId_fkey" TO "Profile_owner_fkey";
