-- A row per role: makes those that are missing of prefix $1 (text), and gives each its right. Caller: pg/migrator.
SELECT r AS name FROM lockkeeper.make_roles($1) AS r;
