-- Whoever has a right has it for what a migration brought, too. Caller: pg/migrator.
SELECT lockkeeper.renew_rights();
