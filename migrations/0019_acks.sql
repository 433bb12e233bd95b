-- When a node acknowledged what: for the times that nodes take.  breaking: no
INSERT INTO lockkeeper.ddl_migration (version, name, breaking) VALUES (19, 'acks', false);

ALTER TABLE lockkeeper.ddl_node_ack ADD COLUMN acked_at timestamptz NOT NULL DEFAULT clock_timestamp();

-- As in 0011; of a later version of the same job, the time too.
CREATE OR REPLACE FUNCTION lockkeeper.acknowledge(node bigint, jobs bigint[], versions bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET jit = off AS $$
DECLARE
    acting name := lockkeeper.acting_role();
    moved bigint[];
BEGIN
    PERFORM FROM lockkeeper.ddl_node AS n
      WHERE n.id = node AND n.role = acting AND n.lease_until >= clock_timestamp() FOR KEY SHARE;
    IF NOT FOUND THEN PERFORM lockkeeper.fenced(node); END IF;
    INSERT INTO lockkeeper.ddl_node_ack AS a (job_id, node_id, version)
    SELECT m.job_id, node, least(max(t.version), max(m.version)) FROM unnest(jobs, versions) AS t(job_id, version)
      JOIN lockkeeper.ddl_mdl_info AS m ON m.job_id = t.job_id GROUP BY m.job_id ORDER BY m.job_id
    ON CONFLICT (job_id, node_id) DO UPDATE
       SET version = greatest(a.version, excluded.version),
           acked_at = CASE WHEN excluded.version > a.version THEN excluded.acked_at ELSE a.acked_at END;
    -- Of several last ones each says it, because none sees the others' rows. Only they: a notification wakes every
    -- session of the database that listens to anything.
    moved := ARRAY(SELECT m.job_id FROM lockkeeper.ddl_mdl_info AS m
                    WHERE m.job_id = ANY (jobs)
                      AND (SELECT count(*) FROM lockkeeper.ddl_node AS n WHERE n.first_version < m.version)
                        - (SELECT count(*) FROM lockkeeper.ddl_node_ack AS a
                            WHERE a.job_id = m.job_id AND a.version >= m.version) < 3);
    IF moved = '{}' THEN RETURN; END IF;
    PERFORM pg_notify('lockkeeper_ack', '');
END $$;
