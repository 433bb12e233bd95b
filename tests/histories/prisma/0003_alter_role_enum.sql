-- AlterEnum
BEGIN;
CREATE TYPE "prisma"."Role_new" AS ENUM ('USER', 'EDITOR', 'ADMIN');
ALTER TABLE "prisma"."User" ALTER COLUMN "role" DROP DEFAULT;
ALTER TABLE "prisma"."User" ALTER COLUMN "role" TYPE "prisma"."Role_new" USING ("role"::text::"prisma"."Role_new");
ALTER TYPE "prisma"."Role" RENAME TO "Role_old";
ALTER TYPE "prisma"."Role_new" RENAME TO "Role";
DROP TYPE "prisma"."Role_old";
ALTER TABLE "prisma"."User" ALTER COLUMN "role" SET DEFAULT 'USER';
COMMIT;
