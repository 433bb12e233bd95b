CREATE TEMP TABLE incoming (email text, name text);
INSERT INTO incoming VALUES ('a@b.c', 'A'), ('d@e.f', 'D'), ('a@b.c', 'A2');
CREATE INDEX ON incoming (email);
INSERT INTO app.customers (email, "Full Name") SELECT DISTINCT ON (email) email, name FROM incoming ORDER BY email, name;
DROP TABLE incoming;
CREATE TABLE app.import_log (at timestamptz DEFAULT now(), n int);
INSERT INTO app.import_log (n) SELECT count(*) FROM app.customers;
