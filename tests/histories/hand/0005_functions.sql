CREATE FUNCTION app.total_of(c bigint, OUT n int, OUT total numeric) LANGUAGE sql STABLE AS
'SELECT count(*)::int, coalesce(sum(o.total), 0) FROM app.orders o WHERE o.customer_id = c';
CREATE PROCEDURE app.archive(older interval) LANGUAGE plpgsql AS $proc$
BEGIN
  DELETE FROM app.events WHERE at < now() - older; -- with a ; here
END $proc$;
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = app, pg_temp AS $$
BEGIN NEW.created := clock_timestamp(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE OF email ON app.customers FOR EACH ROW WHEN (OLD.email IS DISTINCT FROM NEW.email) EXECUTE FUNCTION app.touch();
CREATE AGGREGATE app.product (numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1');
CREATE OPERATOR app.||| (LEFTARG = text, RIGHTARG = text, FUNCTION = textcat);
CREATE CAST (text AS app.customers) WITH INOUT;
DROP CAST (text AS app.customers);
