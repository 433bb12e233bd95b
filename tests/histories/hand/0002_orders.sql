SET search_path = app;
CREATE TABLE orders (
    id bigserial PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers,
    no bigint NOT NULL DEFAULT nextval('invoice_no'), total numeric(12,2) NOT NULL DEFAULT 0,
    placed date NOT NULL DEFAULT CURRENT_DATE, note text COLLATE "C",
    net numeric GENERATED ALWAYS AS (total / 1.19) STORED,
    EXCLUDE USING btree (no WITH =)
);
ALTER SEQUENCE invoice_no OWNED BY orders.no;
CREATE INDEX ON orders (placed DESC) INCLUDE (total) WHERE total > 0;
CREATE STATISTICS orders_stat (dependencies, ndistinct) ON customer_id, placed FROM orders;
ALTER TABLE orders ALTER COLUMN customer_id SET STATISTICS 500;
