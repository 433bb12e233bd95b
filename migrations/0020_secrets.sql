-- Passwords that a statement needs in clear text do not stay in history.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name, breaking) VALUES (20, 'secrets', false);

-- The text with *** for what stands where a password would: PASSWORD 'x', password = 'x', OPTIONS (password 'x'), password=x and user:x@host
-- in a connection string; not for hashes of roles' passwords. It reads no SQL: that works inside of a DO block, a string, or an error as well.
CREATE FUNCTION lockkeeper.without_passwords(said text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    word text := '(pass(?:word|phrase|code)\M"?\s*';
BEGIN
    IF said !~* 'pass(word|phrase|code)|://[^/]*@' THEN RETURN said; END IF;
    -- PASSWORD ''x'' inside of a string; password 'x''y', E'x', a dollar-quoted x; password=x; user:x@host.
    said := regexp_replace(said, word || '(?::?=\s*)?'''')(?!'')[^'']+', '\1***', 'gi');
    said := regexp_replace(said, word || '(?::?=\s*)?e?'')(?!'')(?!SCRAM-SHA-256\$|md5[0-9a-f]{32}'')(?:[^'']|'''')+', '\1***', 'gi');
    said := regexp_replace(said, word || '(?::?=\s*)?\$[a-z_]*\$)[^$]+', '\1***', 'gi');
    said := regexp_replace(said, word || '=\s*)(?![*''])[^\s''"\\$]+', '\1***', 'gi');
    RETURN regexp_replace(said, '(://[^\s:/@'']*:)[^\s''"/]+@', '\1***@', 'g');
END $$;

-- The same in each string of a document, which stays one, whatever the strings are.
CREATE FUNCTION lockkeeper.without_passwords(said jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN CASE jsonb_typeof(said)
        WHEN 'string' THEN to_jsonb(lockkeeper.without_passwords(said #>> '{}'))
        WHEN 'array' THEN (SELECT coalesce(jsonb_agg(lockkeeper.without_passwords(e) ORDER BY n), '[]')
                             FROM jsonb_array_elements(said) WITH ORDINALITY AS t(e, n))
        WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg(key, lockkeeper.without_passwords(value)), '{}') FROM jsonb_each(said))
        ELSE said END;
END $$;

CREATE FUNCTION lockkeeper.forget_passwords() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.statements := ARRAY(SELECT lockkeeper.without_passwords(s) FROM unnest(NEW.statements) WITH ORDINALITY AS t(s, n) ORDER BY n);
    NEW.error := lockkeeper.without_passwords(NEW.error);
    NEW.steps := lockkeeper.without_passwords(NEW.steps);
    RETURN NEW;
END $$;

-- Of statements that make something that logs in somewhere, and of code that nobody reads. What an application keeps in a column of its
-- own is its business.
CREATE TRIGGER forget_passwords BEFORE INSERT ON lockkeeper.ddl_history FOR EACH ROW
    WHEN (NEW.action ~ '^(create|alter) (subscription|user mapping|foreign server|foreign table|role)$|^(do|transaction|barrier|unparsed|select)$|^create (table as|materialized view)$'
          AND NEW.statements::text ~* 'pass(word|phrase|code)|://[^/]*@')
    EXECUTE FUNCTION lockkeeper.forget_passwords();

-- As in 0012, without passwords.
CREATE OR REPLACE VIEW lockkeeper.jobs AS
SELECT j.id, j.state::text AS state, j.schema_state::text AS schema_state, j.action,
       ARRAY(SELECT f.object FROM lockkeeper.ddl_job_footprint AS f
              WHERE f.job_id = j.id AND f.exclusive AND f.object NOT LIKE 'batch:%'
              ORDER BY f.object) AS objects,
       CASE WHEN j.waits > 0 THEN lockkeeper.dependency_id(j.id) END AS dependency_id,
       -- not clock_timestamp(): a volatile column would keep LIMIT from being seen inside
       pg_catalog.statement_timestamp() - j.submitted_at AS age,
       j.worker, j.role::text AS role, j.tries, j.retry_at,
       CASE WHEN j.state = 'done' THEN lockkeeper.held_up(j.id)
            WHEN j.error IS NULL OR lockkeeper.may_read(j.role) THEN
                 CASE WHEN j.error ? 'statement' THEN lockkeeper.without_passwords(j.error) ELSE j.error END
            ELSE pg_catalog.jsonb_build_object('sqlstate', j.error->>'sqlstate') END AS error, j.epoch, j.batch_id, j.priority, j.pool, j.key,
       j.submitted_at, j.started_at, j.state_since,
       CASE WHEN NOT lockkeeper.may_read(j.role) THEN '(of role ' || j.role || ')'
            WHEN j.action ~ '^(create|alter) (subscription|user mapping|foreign server|foreign table|role)$|^(do|transaction|barrier|unparsed|select)$|^create (table as|materialized view)$'
            THEN lockkeeper.without_passwords(pg_catalog.array_to_string(j.statements, E';\n'))
            ELSE pg_catalog.array_to_string(j.statements, E';\n') END AS statement,
       j.paused_by, j.crashes
  FROM lockkeeper.ddl_job AS j;

GRANT EXECUTE ON FUNCTION lockkeeper.without_passwords(text), lockkeeper.without_passwords(jsonb) TO PUBLIC;
REVOKE ALL ON FUNCTION lockkeeper.forget_passwords() FROM PUBLIC;
