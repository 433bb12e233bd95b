-- Footprints that follow what the catalog knows of an object.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (8, 'footprints');

-- As in 0002, by single look-ups of unique indexes: fast whatever planner settings the caller has.
CREATE OR REPLACE FUNCTION lockkeeper.find_schema(kind text, object_name text, path text[]) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s text;
    ns oid;
    builtin boolean := false;
BEGIN
    IF kind = 'type' THEN
        builtin := EXISTS (SELECT FROM pg_type WHERE typname = object_name
                                                 AND typnamespace = 'pg_catalog'::regnamespace);
        IF builtin THEN RETURN NULL; END IF;
    END IF;
    FOREACH s IN ARRAY path LOOP
        SELECT n.oid INTO ns FROM pg_namespace AS n WHERE n.nspname = s;
        IF kind = 'relation' THEN
            PERFORM FROM pg_class AS c WHERE c.relname = object_name AND c.relnamespace = ns;
        ELSIF kind = 'type' THEN
            PERFORM FROM pg_type AS c WHERE c.typname = object_name AND c.typnamespace = ns;
        ELSIF kind = 'function' THEN
            PERFORM FROM pg_proc AS c WHERE c.proname = object_name AND c.pronamespace = ns;
        END IF;
        IF FOUND THEN RETURN s; END IF;
    END LOOP;
    IF kind = 'function' AND EXISTS (SELECT FROM pg_proc WHERE proname = object_name
                                        AND pronamespace = 'pg_catalog'::regnamespace) THEN
        RETURN NULL;
    END IF;
    FOREACH s IN ARRAY path LOOP
        -- Names have the collation "C"; with it the index of the objects would not serve.
        IF EXISTS (SELECT FROM lockkeeper.ddl_job_footprint AS f
                    WHERE f.object = lockkeeper.object_key(kind, s, object_name) COLLATE "default") THEN
            RETURN s;
        END IF;
    END LOOP;
    RETURN coalesce(path[1], 'public');
END $$;

-- What a relation, type or function rests on, as footprint keys: tables behind a view (and behind the
-- views in it), referenced tables, types of columns, functions and sequences in defaults, checks,
-- triggers, policies and index expressions. So "drop the view", "change the table" wait for each other,
-- and "drop the child", "drop the parent". reads_only: no more than the relations behind a view.
CREATE FUNCTION lockkeeper.rests_on(of_class oid, of_object oid, reads_only boolean) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH RECURSIVE reached AS (
        SELECT of_class AS class, of_object AS object, 0 AS depth
        UNION
        SELECT d.refclassid, d.refobjid, r.depth + 1
          FROM reached AS r
         CROSS JOIN LATERAL (
                   SELECT r.class AS class, r.object AS object
                   UNION ALL SELECT 'pg_rewrite'::regclass, w.oid FROM pg_rewrite AS w
                              WHERE r.class = 'pg_class'::regclass AND w.ev_class = r.object
                   UNION ALL SELECT 'pg_attrdef'::regclass, a.oid FROM pg_attrdef AS a
                              WHERE r.class = 'pg_class'::regclass AND r.depth = 0 AND NOT reads_only
                                AND a.adrelid = r.object
                   UNION ALL SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint AS k
                              WHERE r.class = 'pg_class'::regclass AND r.depth = 0 AND NOT reads_only
                                AND k.conrelid = r.object
                   UNION ALL SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint AS k
                              WHERE r.class = 'pg_type'::regclass AND r.depth = 0 AND NOT reads_only
                                AND k.contypid = r.object
                   UNION ALL SELECT 'pg_trigger'::regclass, t.oid FROM pg_trigger AS t
                              WHERE r.class = 'pg_class'::regclass AND r.depth = 0 AND NOT reads_only
                                AND t.tgrelid = r.object AND NOT t.tgisinternal
                   UNION ALL SELECT 'pg_policy'::regclass, p.oid FROM pg_policy AS p
                              WHERE r.class = 'pg_class'::regclass AND r.depth = 0 AND NOT reads_only
                                AND p.polrelid = r.object
                   UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index AS i
                              WHERE r.class = 'pg_class'::regclass AND r.depth = 0 AND NOT reads_only
                                AND i.indrelid = r.object) AS part
          JOIN pg_depend AS d ON d.classid = part.class AND d.objid = part.object
                             AND d.refobjid >= 16384 AND d.refobjid <> r.object
         -- On from a view to what is behind it; of all else, the first step only.
         WHERE r.depth < 32 AND (r.depth = 0 OR (r.class = 'pg_class'::regclass AND EXISTS (
                   SELECT FROM pg_class AS v WHERE v.oid = r.object AND v.relkind IN ('v', 'm'))))
           AND d.refclassid IN ('pg_class'::regclass, 'pg_type'::regclass, 'pg_proc'::regclass)),
    named AS (
        SELECT 'relation' AS kind, c.relnamespace AS ns, c.relname AS name
          FROM reached AS r JOIN pg_class AS c ON c.oid = r.object
         WHERE r.class = 'pg_class'::regclass AND r.depth > 0 AND c.relkind <> 'i' AND c.relkind <> 'I'
        UNION
        SELECT 'type', e.typnamespace, e.typname
          FROM reached AS r JOIN pg_type AS t ON t.oid = r.object
          JOIN pg_type AS e ON e.oid = CASE WHEN t.typelem <> 0 AND t.typlen = -1 THEN t.typelem ELSE t.oid END
         WHERE r.class = 'pg_type'::regclass AND r.depth > 0 AND e.typrelid = 0 AND NOT reads_only
        UNION
        SELECT 'function', p.pronamespace, p.proname
          FROM reached AS r JOIN pg_proc AS p ON p.oid = r.object
         WHERE r.class = 'pg_proc'::regclass AND r.depth > 0 AND NOT reads_only)
    SELECT lockkeeper.object_key(n.kind, s.nspname, n.name)
      FROM named AS n JOIN pg_namespace AS s ON s.oid = n.ns
     WHERE s.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'lockkeeper')
$$;

-- As in 0002, with what the objects rest on. A row of a partition, index or view that exists is
-- resolved to its table, its parents, what is behind it.
CREATE OR REPLACE FUNCTION lockkeeper.resolve_refs(refs jsonb, path text[])
RETURNS TABLE (object text, exclusive boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r record;
    in_schema text;
    ns oid;
    relation oid;
    relation_kind "char";
BEGIN
    object := 'database'; exclusive := false; RETURN NEXT;
    FOR r IN SELECT e->>'kind' AS kind, e->>'schema' AS schema, e->>'name' AS name,
                    coalesce((e->>'exclusive')::boolean, false) AS excl,
                    coalesce((e->>'barrier_unless_builtin')::boolean, false) AS barrier,
                    e->>'path' AS own_path
               FROM jsonb_array_elements(refs) AS t(e)
    LOOP
        exclusive := r.excl;
        IF r.kind = 'database' THEN
            object := 'database'; RETURN NEXT; CONTINUE;
        ELSIF r.kind NOT IN ('relation', 'type', 'function') THEN
            object := lockkeeper.object_key(r.kind, r.schema, r.name); RETURN NEXT;
            IF r.schema IS NOT NULL THEN
                object := lockkeeper.object_key('schema', NULL, r.schema); exclusive := false;
                RETURN NEXT;
            END IF;
            CONTINUE;
        END IF;
        in_schema := coalesce(r.schema, lockkeeper.find_schema(r.kind, r.name,
            CASE WHEN r.own_path IS NULL THEN path
                 ELSE lockkeeper.path_schemas(r.own_path, lockkeeper.acting_role()) END));
        CONTINUE WHEN in_schema IS NULL OR in_schema IN ('pg_catalog', 'information_schema');
        IF in_schema = 'lockkeeper' THEN
            RAISE EXCEPTION 'the lockkeeper schema is changed by "lockkeeper migrate" only'
                USING ERRCODE = 'insufficient_privilege';
        END IF;
        IF r.barrier THEN
            object := 'database'; exclusive := true; RETURN NEXT; CONTINUE;
        END IF;
        object := lockkeeper.object_key(r.kind, in_schema, r.name); RETURN NEXT;
        object := lockkeeper.object_key('schema', NULL, in_schema); exclusive := false; RETURN NEXT;
        SELECT n.oid INTO ns FROM pg_namespace AS n WHERE n.nspname = in_schema;
        IF r.kind = 'function' THEN
            IF r.excl THEN
                RETURN QUERY SELECT o, false FROM pg_proc AS p,
                                    LATERAL lockkeeper.rests_on('pg_proc'::regclass, p.oid, false) AS o
                              WHERE p.proname = r.name AND p.pronamespace = ns;
            END IF;
            CONTINUE;
        ELSIF r.kind = 'type' AND r.excl THEN
            RETURN QUERY SELECT o, false FROM pg_type AS t,
                                LATERAL lockkeeper.rests_on('pg_type'::regclass, t.oid, false) AS o
                          WHERE t.typname = r.name AND t.typnamespace = ns;
        END IF;
        SELECT c.oid, c.relkind INTO relation, relation_kind FROM pg_class AS c
         WHERE c.relname = r.name AND c.relnamespace = ns;
        CONTINUE WHEN NOT FOUND;
        IF r.kind = 'type' THEN  -- the row type of a table
            object := lockkeeper.object_key('relation', in_schema, r.name); exclusive := r.excl;
            RETURN NEXT;
        END IF;
        IF r.excl OR relation_kind IN ('v', 'm') THEN
            RETURN QUERY SELECT o, false
                           FROM lockkeeper.rests_on('pg_class'::regclass, relation, NOT r.excl) AS o;
        END IF;
        -- A change of an index is a change of its table; a change of a partition touches its parents.
        RETURN QUERY
            SELECT lockkeeper.object_key('relation', n.nspname, c.relname), r.excl
              FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
              JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE i.indexrelid = relation;
        RETURN QUERY
            WITH RECURSIVE parents AS (
                SELECT inhparent FROM pg_inherits WHERE inhrelid = relation
                UNION SELECT i.inhparent FROM pg_inherits AS i JOIN parents AS p ON i.inhrelid = p.inhparent)
            SELECT lockkeeper.object_key('relation', n.nspname, c.relname), false
              FROM parents AS p JOIN pg_class AS c ON c.oid = p.inhparent
              JOIN pg_namespace AS n ON n.oid = c.relnamespace;
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION lockkeeper.rests_on(oid, oid, boolean) FROM PUBLIC;

-- As in 0004, with what has come since; who could use the queue before may use that too.
CREATE OR REPLACE FUNCTION lockkeeper.grant_use(to_role name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA lockkeeper TO %I', to_role);
    EXECUTE format('GRANT SELECT ON lockkeeper.jobs, lockkeeper.history, lockkeeper.statistics, '
        'lockkeeper.ddl_migration TO %I', to_role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION lockkeeper.submit(text, jsonb), '
        'lockkeeper.enqueue(jsonb, jsonb), lockkeeper.cancel(bigint), lockkeeper.pause(bigint), '
        'lockkeeper.resume(bigint), lockkeeper.retry(bigint), lockkeeper.steer(text, jsonb), '
        'lockkeeper.steer_one(text, bigint), lockkeeper.setting(text), lockkeeper.acting_role(), '
        'lockkeeper.statement_settings(), lockkeeper.resolve_refs(jsonb, text[]), '
        'lockkeeper.path_schemas(text, name), lockkeeper.object_key(text, text, text), '
        'lockkeeper.find_schema(text, text, text[]), lockkeeper.conflicts_of(text[], boolean[]), '
        'lockkeeper.chain_of(text[], boolean[]), lockkeeper.waits_for(bigint[]), '
        'lockkeeper.find_history(jsonb, integer), lockkeeper.rests_on(oid, oid, boolean), '
        'lockkeeper.dependency_id(bigint), lockkeeper.may_read(name) TO %I', to_role);
END $$;

DO $$
DECLARE
    grantee name;
BEGIN
    FOR grantee IN SELECT DISTINCT pg_catalog.pg_get_userbyid(a.grantee) FROM pg_catalog.pg_proc AS p,
                          LATERAL pg_catalog.aclexplode(p.proacl) AS a
                    WHERE p.oid = 'lockkeeper.resolve_refs(jsonb, text[])'::regprocedure
                      AND a.grantee <> p.proowner AND a.grantee <> 0 LOOP
        PERFORM lockkeeper.grant_use(grantee);
    END LOOP;
END $$;
