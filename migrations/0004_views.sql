-- What people see, and who may see it.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (4, 'views');

-- May the caller read the text of a job of this role? Text can hold passwords.
CREATE FUNCTION lockkeeper.may_read(of_role name) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = of_role AND pg_has_role(r.oid, 'MEMBER'))
        OR EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = 'lockkeeper'
                                                  AND pg_has_role(n.nspowner, 'MEMBER'))
$$;

CREATE VIEW lockkeeper.jobs AS
SELECT j.id, j.state::text AS state, j.schema_state::text AS schema_state, j.action,
       ARRAY(SELECT f.object FROM lockkeeper.ddl_job_footprint AS f
              WHERE f.job_id = j.id AND f.exclusive AND f.object NOT LIKE 'batch:%'
              ORDER BY f.object) AS objects,
       CASE WHEN j.waits > 0 THEN lockkeeper.dependency_id(j.id) END AS dependency_id,
       pg_catalog.clock_timestamp() - j.submitted_at AS age,
       j.worker, j.role::text AS role, j.tries, j.retry_at,
       CASE WHEN j.error IS NULL OR lockkeeper.may_read(j.role) THEN j.error
            ELSE pg_catalog.jsonb_build_object('sqlstate', j.error->>'sqlstate') END AS error, j.epoch, j.batch_id, j.priority, j.pool, j.key,
       j.submitted_at, j.started_at, j.state_since,
       CASE WHEN lockkeeper.may_read(j.role) THEN pg_catalog.array_to_string(j.statements, E';\n')
            ELSE '(of role ' || j.role || ')' END AS statement
  FROM lockkeeper.ddl_job AS j;

CREATE VIEW lockkeeper.history AS
SELECT h.id, h.state::text AS state, h.schema_state::text AS schema_state, h.action, h.objects,
       h.role::text AS role, h.tries,
       CASE WHEN h.error IS NULL OR lockkeeper.may_read(h.role) THEN h.error
            ELSE pg_catalog.jsonb_build_object('sqlstate', h.error->>'sqlstate') END AS error, h.steps, h.schema_version, h.batch_id, h.key, h.worker,
       h.submitted_at, h.started_at, h.ended_at, h.started_at - h.submitted_at AS waited,
       h.ended_at - h.started_at AS took, CASE WHEN lockkeeper.may_read(h.role) THEN pg_catalog.array_to_string(h.statements, E';\n')
            ELSE '(of role ' || h.role || ')' END AS statement
  FROM lockkeeper.ddl_history AS h;

-- Lets a role submit, see and cancel. Only for the owner of the schema.
CREATE FUNCTION lockkeeper.grant_use(to_role name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA lockkeeper TO %I', to_role);
    EXECUTE format('GRANT SELECT ON lockkeeper.jobs, lockkeeper.history, lockkeeper.ddl_migration TO %I', to_role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION lockkeeper.submit(text, jsonb), '
        'lockkeeper.enqueue(jsonb, jsonb), lockkeeper.cancel(bigint), lockkeeper.acting_role(), '
        'lockkeeper.statement_settings(), lockkeeper.resolve_refs(jsonb, text[]), '
        'lockkeeper.path_schemas(text, name), lockkeeper.object_key(text, text, text), '
        'lockkeeper.find_schema(text, text, text[]), lockkeeper.conflicts_of(text[], boolean[]), '
        'lockkeeper.dependency_id(bigint), lockkeeper.may_read(name) TO %I', to_role);
END $$;

-- Unfinished jobs that a job with this footprint would have to wait for, largest id first.
CREATE FUNCTION lockkeeper.conflicts_of(objects text[], exclusives boolean[])
RETURNS TABLE (id bigint, object text) LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT f.job_id, min(f.object)
      FROM unnest(objects, exclusives) AS w(object, exclusive)
      JOIN lockkeeper.ddl_job_footprint AS f ON f.object = w.object AND (f.exclusive OR w.exclusive)
     GROUP BY f.job_id ORDER BY f.job_id DESC
$$;

DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT oid::regprocedure FROM pg_catalog.pg_proc
              WHERE pronamespace = 'lockkeeper'::regnamespace LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
    END LOOP;
END $$;
