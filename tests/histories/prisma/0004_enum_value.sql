-- AlterEnum
ALTER TYPE "prisma"."Role" ADD VALUE 'GUEST';
