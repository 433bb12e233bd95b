ALTER TABLE app.orders ADD CONSTRAINT total_ok CHECK (total >= 0) NOT VALID;
ALTER TABLE app.orders VALIDATE CONSTRAINT total_ok;
CREATE UNIQUE INDEX CONCURRENTLY orders_no_key ON app.orders (no);
ALTER TABLE app.orders ADD CONSTRAINT orders_no_unique UNIQUE USING INDEX orders_no_key;
ALTER TABLE app.orders DROP CONSTRAINT orders_no_excl;
ALTER TABLE app.orders ALTER COLUMN placed SET DEFAULT now(), ALTER COLUMN note SET STORAGE EXTERNAL, SET (fillfactor = 90);
