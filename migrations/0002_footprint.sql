-- Names to objects, and the ticket lock that orders conflicting jobs.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (2, 'footprint');

-- 'relation:app.orders', 'schema:app', 'database'. Names quoted as SQL would need them.
CREATE FUNCTION lockkeeper.object_key(kind text, schema_name text, object_name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT kind || ':' || CASE WHEN schema_name IS NULL THEN '' ELSE quote_ident(schema_name) || '.' END
        || quote_ident(object_name)
$$;

-- Schemas of a search_path setting that exist, in order, without pg_catalog.
CREATE FUNCTION lockkeeper.path_schemas(path text, role name) RETURNS text[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('search_path', replace(path, '"$user"', quote_ident(role)), true);
    RETURN (SELECT coalesce(array_agg(s ORDER BY n), '{}')
              FROM unnest(current_schemas(false)) WITH ORDINALITY AS t(s, n)
             WHERE s <> 'pg_catalog' AND s NOT LIKE 'pg\_temp%');
END $$;

-- The role that the caller acts as: SET ROLE if it was used, else the login. Unlike current_user it
-- cannot be changed by being inside a SECURITY DEFINER function, so it cannot be forged.
CREATE FUNCTION lockkeeper.acting_role() RETURNS name
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN current_setting('role') = 'none' THEN session_user
                ELSE current_setting('role')::name END
$$;

CREATE TYPE lockkeeper.footprint_entry AS (job integer, object text, exclusive boolean);

-- The schema in which PostgreSQL would find `object_name`: the first of the path that has it, in
-- the catalog or as the object of a queued job; else where it would be made. NULL: built in.
CREATE FUNCTION lockkeeper.find_schema(kind text, object_name text, path text[]) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_in text;
BEGIN
    IF kind = 'relation' THEN
        SELECT s INTO found_in FROM unnest(path) WITH ORDINALITY AS t(s, n)
          JOIN pg_namespace AS ns ON ns.nspname = s
          JOIN pg_class AS c ON c.relnamespace = ns.oid AND c.relname = object_name
         ORDER BY n LIMIT 1;
    ELSIF kind = 'type' THEN
        IF EXISTS (SELECT FROM pg_type WHERE typname = object_name
                                         AND typnamespace = 'pg_catalog'::regnamespace) THEN
            RETURN NULL;
        END IF;
        SELECT s INTO found_in FROM unnest(path) WITH ORDINALITY AS t(s, n)
          JOIN pg_namespace AS ns ON ns.nspname = s
          JOIN pg_type AS c ON c.typnamespace = ns.oid AND c.typname = object_name
         ORDER BY n LIMIT 1;
    ELSIF kind = 'function' THEN
        SELECT s INTO found_in FROM unnest(path) WITH ORDINALITY AS t(s, n)
          JOIN pg_namespace AS ns ON ns.nspname = s
          JOIN pg_proc AS c ON c.pronamespace = ns.oid AND c.proname = object_name
         ORDER BY n LIMIT 1;
        IF found_in IS NULL AND EXISTS (
            SELECT FROM pg_proc WHERE proname = object_name
                                  AND pronamespace = 'pg_catalog'::regnamespace) THEN
            RETURN NULL;
        END IF;
    END IF;
    IF found_in IS NULL THEN
        SELECT s INTO found_in FROM unnest(path) WITH ORDINALITY AS t(s, n)
         WHERE EXISTS (SELECT FROM lockkeeper.ddl_job_footprint AS f
                        WHERE f.object = lockkeeper.object_key(kind, s, object_name))
         ORDER BY n LIMIT 1;
    END IF;
    RETURN coalesce(found_in, path[1], 'public');
END $$;

-- References of a statement, as the parser found them, to footprint rows. A reference:
-- {"kind": "relation", "schema": "app", "name": "orders", "exclusive": true}. Every job shares the
-- database and the schemas of its objects, so that DROP SCHEMA and barriers wait for what is inside.
CREATE FUNCTION lockkeeper.resolve_refs(refs jsonb, path text[])
RETURNS TABLE (object text, exclusive boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r record;
    in_schema text;
    relation oid;
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
        CONTINUE WHEN r.kind = 'function';
        SELECT c.oid INTO relation FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE n.nspname = in_schema AND c.relname = r.name;
        CONTINUE WHEN NOT FOUND;
        IF r.kind = 'type' THEN  -- the row type of a table
            object := lockkeeper.object_key('relation', in_schema, r.name); exclusive := r.excl;
            RETURN NEXT;
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

-- Locks the objects of a change of the queue, in one order for everybody, until commit. 1024
-- stripes, so that a batch of any size fits into the server's lock table. 1280009593 = 'LKey'.
CREATE FUNCTION lockkeeper.lock_objects(entries lockkeeper.footprint_entry[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT hashtext(e.object) & 1023 AS stripe, bool_or(e.exclusive) AS excl
               FROM unnest(entries) AS e GROUP BY 1 ORDER BY 1
    LOOP
        IF r.excl THEN
            PERFORM pg_advisory_xact_lock(1280009593, r.stripe);
        ELSE
            PERFORM pg_advisory_xact_lock_shared(1280009593, r.stripe);
        END IF;
    END LOOP;
END $$;

-- Grants what became free on `objects` after rows of the queue went; gives the number of jobs that
-- became ready. The objects must be locked by lock_objects. An exclusive waiter is granted when
-- nothing granted is left; shared ones are granted up to the next exclusive one (promise 3).
CREATE FUNCTION lockkeeper.grant_waiting(freed text[]) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head record;
    barrier bigint;
    granted_jobs bigint[] := '{}';
    newly bigint[];
    made_ready integer := 0;
BEGIN
    FOR head IN
        SELECT k.object, w.job_id, w.exclusive
          FROM unnest(freed) AS k(object),
               LATERAL (SELECT f.job_id, f.exclusive FROM lockkeeper.ddl_job_footprint AS f
                         WHERE f.object = k.object AND NOT f.granted ORDER BY f.job_id LIMIT 1) AS w
         ORDER BY k.object
    LOOP
        IF head.exclusive THEN
            -- The row lock makes one of several finishers that share the object the last one.
            PERFORM FROM lockkeeper.ddl_job_footprint AS f
              WHERE f.object = head.object AND f.job_id = head.job_id FOR UPDATE;
            CONTINUE WHEN EXISTS (SELECT FROM lockkeeper.ddl_job_footprint AS f
                                   WHERE f.object = head.object AND f.granted);
            UPDATE lockkeeper.ddl_job_footprint AS f SET granted = true
             WHERE f.object = head.object AND f.job_id = head.job_id AND NOT f.granted;
            IF FOUND THEN granted_jobs := granted_jobs || head.job_id; END IF;
        ELSIF NOT EXISTS (SELECT FROM lockkeeper.ddl_job_footprint AS f
                           WHERE f.object = head.object AND f.exclusive AND f.granted) THEN
            SELECT min(f.job_id) INTO barrier FROM lockkeeper.ddl_job_footprint AS f
             WHERE f.object = head.object AND f.exclusive;
            WITH granting AS (
                UPDATE lockkeeper.ddl_job_footprint AS f SET granted = true
                 WHERE f.object = head.object AND NOT f.granted
                   AND f.job_id < coalesce(barrier, 9223372036854775807)
                RETURNING f.job_id)
            SELECT coalesce(array_agg(job_id), '{}') INTO newly FROM granting;
            granted_jobs := granted_jobs || newly;
        END IF;
    END LOOP;
    IF granted_jobs = '{}' THEN RETURN 0; END IF;
    -- Rows in id order, so that two finishers cannot deadlock.
    PERFORM FROM lockkeeper.ddl_job WHERE id = ANY (granted_jobs) ORDER BY id FOR UPDATE;
    WITH counts AS (SELECT j AS id, count(*)::integer AS n FROM unnest(granted_jobs) AS t(j) GROUP BY j),
         lowered AS (UPDATE lockkeeper.ddl_job AS d SET waits = d.waits - c.n
                       FROM counts AS c WHERE d.id = c.id RETURNING d.waits)
    SELECT count(*) FILTER (WHERE waits = 0) INTO made_ready FROM lowered;
    RETURN made_ready;
END $$;

-- Takes jobs that ended out of the order; gives the number of jobs that became ready.
CREATE FUNCTION lockkeeper.release_footprint(ended bigint[]) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    entries lockkeeper.footprint_entry[];
BEGIN
    SELECT array_agg((0, object, exclusive)::lockkeeper.footprint_entry) INTO entries
      FROM lockkeeper.ddl_job_footprint WHERE job_id = ANY (ended);
    PERFORM lockkeeper.lock_objects(entries);
    DELETE FROM lockkeeper.ddl_job_footprint WHERE job_id = ANY (ended);
    RETURN lockkeeper.grant_waiting(ARRAY(SELECT DISTINCT e.object FROM unnest(entries) AS e));
END $$;

-- Adds the footprint of a new job, whose id was drawn after its objects were locked, so that
-- conflicting ids become visible in order. Gives the number of rows that must wait.
CREATE FUNCTION lockkeeper.add_footprint(new_job bigint, objects text[], exclusives boolean[])
RETURNS integer LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    WITH wanted AS (
        SELECT o.object, bool_or(o.exclusive) AS exclusive
          FROM unnest(objects, exclusives) AS o(object, exclusive) GROUP BY o.object),
    added AS (
        INSERT INTO lockkeeper.ddl_job_footprint (object, job_id, exclusive, granted)
        SELECT w.object, new_job, w.exclusive,
               CASE WHEN w.exclusive
                    THEN NOT EXISTS (SELECT FROM lockkeeper.ddl_job_footprint AS f
                                      WHERE f.object = w.object)
                    ELSE NOT EXISTS (SELECT FROM lockkeeper.ddl_job_footprint AS f
                                      WHERE f.object = w.object AND f.exclusive) END
          FROM wanted AS w
        RETURNING granted)
    SELECT (count(*) FILTER (WHERE NOT granted))::integer FROM added
$$;

-- The largest unfinished job below `job` that it must wait for; NULL: none.
CREATE FUNCTION lockkeeper.dependency_id(job bigint) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT max(before.job_id)
      FROM lockkeeper.ddl_job_footprint AS mine, LATERAL (
          (SELECT o.job_id FROM lockkeeper.ddl_job_footprint AS o
            WHERE mine.exclusive AND o.object = mine.object AND o.job_id < mine.job_id
            ORDER BY o.job_id DESC LIMIT 1)
          UNION ALL
          (SELECT o.job_id FROM lockkeeper.ddl_job_footprint AS o
            WHERE NOT mine.exclusive AND o.object = mine.object AND o.job_id < mine.job_id
              AND o.exclusive ORDER BY o.job_id DESC LIMIT 1)) AS before
     WHERE mine.job_id = job AND NOT mine.granted
$$;
