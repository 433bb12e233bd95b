ANALYZE app.orders;
VACUUM (ANALYZE) app.customers;
REINDEX INDEX CONCURRENTLY app.orders_no_unique;
CLUSTER app.orders USING orders_pkey;
CREATE FUNCTION app.late() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM 1 FROM app.table_that_comes_later; END $$;
CREATE TABLE app.table_that_comes_later (a int);
SELECT app.late();
ALTER TABLE app.events DETACH PARTITION app.events_2025;
DROP TABLE app.events_2025;
