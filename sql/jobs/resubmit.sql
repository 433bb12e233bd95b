-- One row: what a new job needs to be like ended job $1 (bigint); none: no such job, or its text may
-- not be read. stripped: its text has lost a password. Caller: jobs/steer.
SELECT v.statement, v.search_path, v.settings, v.role, v.state,
       v.statement ~* '(pass(word|phrase|code).*|://.*:)\*\*\*' AS stripped
  FROM lockkeeper.history AS v WHERE v.id = $1::bigint AND v.settings IS NOT NULL;
