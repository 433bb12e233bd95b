-- One row: job $1 (bigint) as JSON, from the queue or from history, with the steps that are known; none: there is
-- no such job. Caller: jobs/view.
SELECT pg_catalog.to_jsonb(j) || pg_catalog.jsonb_build_object('age_seconds', extract(epoch FROM j.age), 'steps', (
           SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                      'kind', s.kind, 'state', s.state, 'sql', pg_catalog.jsonb_build_array(s.statement)) ORDER BY s.seq)
             FROM lockkeeper.steps AS s WHERE s.job_id = j.id),
           'progress', (SELECT pg_catalog.to_jsonb(p) FROM lockkeeper.progress AS p WHERE p.job_id = j.id LIMIT 1)) AS job
  FROM lockkeeper.jobs AS j WHERE j.id = $1::bigint
UNION ALL
SELECT pg_catalog.to_jsonb(h) || pg_catalog.jsonb_build_object(
           'waited_seconds', extract(epoch FROM h.waited), 'took_seconds', extract(epoch FROM h.took))
  FROM lockkeeper.history AS h WHERE h.id = $1::bigint
LIMIT 1;
