CREATE TABLE app.events (id bigint, at timestamptz NOT NULL, body jsonb, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.events_2025 PARTITION OF app.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE app.events_rest PARTITION OF app.events DEFAULT;
CREATE TABLE app.events_2026 (LIKE app.events INCLUDING ALL);
ALTER TABLE app.events_2026 ADD CONSTRAINT b CHECK (at >= '2026-01-01' AND at < '2027-01-01');
ALTER TABLE app.events ATTACH PARTITION app.events_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE INDEX events_body ON app.events USING gin (body jsonb_path_ops);
