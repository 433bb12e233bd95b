-- What waits for what, the search of history, figures; who may see and steer.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (7, 'sight');

DROP INDEX lockkeeper.ddl_history_ended_at;
CREATE INDEX ddl_history_ended_at ON lockkeeper.ddl_history (ended_at DESC, id DESC);
CREATE INDEX ddl_history_action ON lockkeeper.ddl_history (action, ended_at DESC);
CREATE INDEX ddl_history_role ON lockkeeper.ddl_history (role, ended_at DESC);
CREATE INDEX ddl_history_not_synced ON lockkeeper.ddl_history (state, ended_at DESC) WHERE state <> 'synced';
CREATE INDEX ddl_history_objects ON lockkeeper.ddl_history USING gin (objects);
ALTER TABLE lockkeeper.ddl_history SET (autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);

-- The jobs that each waiting job waits for next, object by object: for an exclusive use what is right
-- before it (the last exclusive one, and the shared ones since), for a shared use the last exclusive
-- one. All other dependencies follow from these. jobs: NULL for the whole queue.
CREATE FUNCTION lockkeeper.waits_for(jobs bigint[] DEFAULT NULL)
RETURNS TABLE (id bigint, waits_for bigint, object text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH mine AS (SELECT f.job_id, f.object, f.exclusive FROM lockkeeper.ddl_job_footprint AS f
                   WHERE NOT f.granted AND (jobs IS NULL OR f.job_id = ANY (jobs))),
    last_exclusive AS (
        SELECT m.job_id, m.object, m.exclusive, e.job_id AS before
          FROM mine AS m LEFT JOIN LATERAL (
               SELECT o.job_id FROM lockkeeper.ddl_job_footprint AS o
                WHERE o.object = m.object AND o.job_id < m.job_id AND o.exclusive
                ORDER BY o.job_id DESC LIMIT 1) AS e ON true)
    SELECT l.job_id, l.before, l.object FROM last_exclusive AS l
     WHERE l.before IS NOT NULL AND (NOT l.exclusive OR NOT EXISTS (
           SELECT FROM lockkeeper.ddl_job_footprint AS s
            WHERE s.object = l.object AND s.job_id < l.job_id AND s.job_id > l.before))
    UNION ALL
    SELECT l.job_id, s.job_id, l.object FROM last_exclusive AS l
      JOIN lockkeeper.ddl_job_footprint AS s ON s.object = l.object AND s.job_id < l.job_id
                                            AND s.job_id > coalesce(l.before, 0)
     WHERE l.exclusive
$$;

-- The whole chain of a footprint that is not in the queue yet: each job that must end first, how far
-- away it is (1: waited for directly), and one reason.
CREATE FUNCTION lockkeeper.chain_of(objects text[], exclusives boolean[])
RETURNS TABLE (id bigint, distance integer, because bigint, object text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    front bigint[];
    seen bigint[];
    far integer := 1;
BEGIN
    SELECT array_agg(c.id) INTO front FROM lockkeeper.conflicts_of(objects, exclusives) AS c;
    RETURN QUERY SELECT c.id, 1, NULL::bigint, c.object FROM lockkeeper.conflicts_of(objects, exclusives) AS c;
    seen := front;
    WHILE front IS NOT NULL AND far < 1000 LOOP
        far := far + 1;
        RETURN QUERY SELECT DISTINCT ON (w.waits_for) w.waits_for, far, w.id, w.object
                       FROM lockkeeper.waits_for(front) AS w WHERE w.waits_for <> ALL (seen);
        SELECT array_agg(DISTINCT w.waits_for) INTO front
          FROM lockkeeper.waits_for(front) AS w WHERE w.waits_for <> ALL (seen);
        seen := seen || front;
    END LOOP;
END $$;

CREATE OR REPLACE VIEW lockkeeper.jobs AS
SELECT j.id, j.state::text AS state, j.schema_state::text AS schema_state, j.action,
       ARRAY(SELECT f.object FROM lockkeeper.ddl_job_footprint AS f
              WHERE f.job_id = j.id AND f.exclusive AND f.object NOT LIKE 'batch:%'
              ORDER BY f.object) AS objects,
       CASE WHEN j.waits > 0 THEN lockkeeper.dependency_id(j.id) END AS dependency_id,
       -- not clock_timestamp(): a volatile column would keep LIMIT from being seen inside
       pg_catalog.statement_timestamp() - j.submitted_at AS age,
       j.worker, j.role::text AS role, j.tries, j.retry_at,
       CASE WHEN j.error IS NULL OR lockkeeper.may_read(j.role) THEN j.error
            ELSE pg_catalog.jsonb_build_object('sqlstate', j.error->>'sqlstate') END AS error, j.epoch, j.batch_id, j.priority, j.pool, j.key,
       j.submitted_at, j.started_at, j.state_since,
       CASE WHEN lockkeeper.may_read(j.role) THEN pg_catalog.array_to_string(j.statements, E';\n')
            ELSE '(of role ' || j.role || ')' END AS statement,
       j.paused_by, j.crashes
  FROM lockkeeper.ddl_job AS j;

CREATE OR REPLACE VIEW lockkeeper.history AS
SELECT h.id, h.state::text AS state, h.schema_state::text AS schema_state, h.action, h.objects,
       h.role::text AS role, h.tries,
       CASE WHEN h.error IS NULL OR lockkeeper.may_read(h.role) THEN h.error
            ELSE pg_catalog.jsonb_build_object('sqlstate', h.error->>'sqlstate') END AS error, h.steps, h.schema_version, h.batch_id, h.key, h.worker,
       h.submitted_at, h.started_at, h.ended_at, h.started_at - h.submitted_at AS waited,
       h.ended_at - h.started_at AS took, CASE WHEN lockkeeper.may_read(h.role) THEN pg_catalog.array_to_string(h.statements, E';\n')
            ELSE '(of role ' || h.role || ')' END AS statement,
       h.search_path, CASE WHEN lockkeeper.may_read(h.role) THEN h.settings END AS settings
  FROM lockkeeper.ddl_history AS h;

-- A moment as people say it: a timestamp, or how long ago ("7d", "2 hours").
CREATE FUNCTION lockkeeper.moment(said text) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN said ~ '^[0-9.]+ *[a-z]+' THEN now() - said::interval ELSE said::timestamptz END
$$;

-- Ids of ended jobs, newest first. wanted: {"object": "relation:public.orders" or a bare name,
-- "action", "state", "role", "batch", "since", "until": moments, "before": id, for the next page}.
CREATE FUNCTION lockkeeper.find_history(wanted jsonb, most integer) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    filters text := '';
    name text := wanted->>'object';
    rule record;
BEGIN
    IF name IS NOT NULL THEN
        filters := format(' AND h.objects && %L::text[]', CASE WHEN strpos(name, ':') > 0 THEN ARRAY[name]
            ELSE ARRAY(SELECT k.kind || ':' || n.prefix || name
                         FROM unnest(ARRAY['relation', 'type', 'function', 'schema', 'role']) AS k(kind),
                              (SELECT '' UNION ALL SELECT quote_ident(nspname) || '.' FROM pg_namespace)
                                  AS n(prefix)) END);
    END IF;
    IF wanted ? 'before' AND NOT EXISTS (SELECT FROM lockkeeper.ddl_history AS h
                                          WHERE h.id = (wanted->>'before')::bigint) THEN
        RAISE EXCEPTION 'job % is not in history', wanted->>'before' USING ERRCODE = 'undefined_object';
    END IF;
    FOR rule IN SELECT r.field, r.condition FROM (VALUES
            ('action', 'h.action = %L'), ('role', 'h.role = %L::name'),
            ('state', 'h.state = %L::lockkeeper.job_state'), ('batch', 'h.batch_id = %L::bigint'),
            ('since', 'h.ended_at >= lockkeeper.moment(%L)'), ('until', 'h.ended_at < lockkeeper.moment(%L)'),
            ('before', '(h.ended_at, h.id) < (SELECT b.ended_at, b.id FROM lockkeeper.ddl_history AS b '
                       'WHERE b.id = %L::bigint)')) AS r(field, condition) LOOP
        CONTINUE WHEN NOT wanted ? rule.field;
        filters := filters || ' AND ' || format(rule.condition, wanted->>rule.field);
    END LOOP;
    RETURN QUERY EXECUTE 'SELECT h.id FROM lockkeeper.ddl_history AS h WHERE true' || filters
        || ' ORDER BY h.ended_at DESC, h.id DESC LIMIT ' || most;
END $$;

-- Ended jobs of the last seven days, by action and final state.
CREATE VIEW lockkeeper.statistics AS
SELECT h.action, h.state::text AS state, count(*) AS jobs, max(h.ended_at) AS last,
       sum(h.tries) AS retries,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY h.started_at - h.submitted_at) AS waited_p50,
       percentile_disc(0.99) WITHIN GROUP (ORDER BY h.started_at - h.submitted_at) AS waited_p99,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY h.ended_at - h.started_at) AS took_p50,
       percentile_disc(0.99) WITHIN GROUP (ORDER BY h.ended_at - h.started_at) AS took_p99
  FROM lockkeeper.ddl_history AS h
 WHERE h.ended_at >= pg_catalog.now() - interval '7 days'
 GROUP BY h.action, h.state;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT oid::regprocedure FROM pg_catalog.pg_proc
              WHERE pronamespace = 'lockkeeper'::regnamespace LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
