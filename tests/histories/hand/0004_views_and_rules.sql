CREATE VIEW app.big_orders WITH (security_barrier) AS
  WITH b AS (SELECT * FROM app.orders WHERE total > 1000) SELECT b.id, c.email FROM b JOIN app.customers c ON c.id = b.customer_id;
CREATE OR REPLACE VIEW app.big_orders AS
  WITH b AS (SELECT * FROM app.orders WHERE total > 1000) SELECT b.id, c.email, b.total FROM b JOIN app.customers c ON c.id = b.customer_id;
CREATE RULE no_delete AS ON DELETE TO app.big_orders DO INSTEAD NOTHING;
COMMENT ON VIEW app.big_orders IS E'line one\nline; two';
