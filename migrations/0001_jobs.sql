-- The job table, its footprints, history, schema versions.  breaking: no
-- Needs CREATE on the database and nothing else. Lock taken on anything of the application: none.
CREATE SCHEMA lockkeeper;
COMMENT ON SCHEMA lockkeeper IS 'Online DDL jobs of this database, made by "lockkeeper migrate".';

CREATE TABLE lockkeeper.ddl_migration (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO lockkeeper.ddl_migration (version, name) VALUES (1, 'jobs');

-- Labels are stored and shown; never renamed, never reordered.
CREATE TYPE lockkeeper.job_state AS ENUM (
    'queueing', 'running', 'pausing', 'paused', 'cancelling', 'rolling back',
    'rollback done', 'cancelled', 'done', 'synced');
CREATE TYPE lockkeeper.schema_state AS ENUM (
    'none', 'delete only', 'write only', 'write reorganization', 'delete reorganization', 'public');

CREATE SEQUENCE lockkeeper.ddl_job_id_seq;
CREATE SEQUENCE lockkeeper.ddl_batch_id_seq;
-- One number for each worker session: the key of the advisory lock that says "alive".
CREATE SEQUENCE lockkeeper.ddl_worker_id_seq MAXVALUE 2147483647 CYCLE;

-- Live jobs only. A job is here or in ddl_history, never in both (promise 1).
CREATE TABLE lockkeeper.ddl_job (
    id            bigint PRIMARY KEY,
    state         lockkeeper.job_state NOT NULL DEFAULT 'queueing',
    schema_state  lockkeeper.schema_state NOT NULL DEFAULT 'none',
    waits         integer NOT NULL DEFAULT 0,      -- footprint rows not granted yet
    priority      smallint NOT NULL DEFAULT 0,     -- orders ready jobs only; larger goes first
    pool          text NOT NULL DEFAULT 'general',
    parsed        boolean NOT NULL DEFAULT true,   -- false: from psql, a worker parses it first
    transactional boolean NOT NULL DEFAULT true,   -- false: cannot be in a transaction block
    opaque        boolean NOT NULL DEFAULT false,  -- runs code that the parser cannot see into
    unparsed_run  boolean NOT NULL DEFAULT false,  -- as a barrier, without our parser
    changes_schema boolean NOT NULL DEFAULT true,  -- makes a schema version when it ends well
    epoch         bigint NOT NULL DEFAULT 0,       -- fencing token: grows at each claim (promise 2)
    claimed_by    integer,                         -- worker session; its advisory lock = alive
    claimed_pid   integer,                         -- backend of that session, when it claimed
    worker        text,                            -- its name, for people
    tries         integer NOT NULL DEFAULT 0,      -- failed tries that may be repeated
    retry_at      timestamptz,                     -- not before
    crashes       integer NOT NULL DEFAULT 0,      -- claims that ended with the worker's death
    outside_started boolean NOT NULL DEFAULT false, -- a statement outside a transaction was begun
    batch_id      bigint,
    batch_seq     integer NOT NULL DEFAULT 0,
    on_error      text NOT NULL DEFAULT 'cancel',
    key           text,
    action        text NOT NULL,
    statements    text[] NOT NULL,
    role          name NOT NULL,
    search_path   text NOT NULL,
    settings      jsonb NOT NULL DEFAULT '{}',
    error         jsonb,                           -- the last one
    submitted_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at    timestamptz,
    state_since   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT claimed_when_running CHECK (
        (state IN ('running', 'cancelling', 'rolling back', 'pausing')) = (claimed_by IS NOT NULL)),
    CONSTRAINT only_live_states CHECK (
        state NOT IN ('cancelled', 'done', 'synced', 'rollback done')),
    CONSTRAINT waits_not_negative CHECK (waits >= 0),
    CONSTRAINT known_pool CHECK (pool IN ('general', 'reorg')),
    CONSTRAINT known_on_error CHECK (on_error IN ('cancel', 'continue'))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX ddl_job_ready ON lockkeeper.ddl_job (priority DESC, id)
    WHERE state = 'queueing' AND waits = 0 AND parsed;
CREATE INDEX ddl_job_unparsed ON lockkeeper.ddl_job (id) WHERE NOT parsed;
CREATE INDEX ddl_job_claimed ON lockkeeper.ddl_job (claimed_by) WHERE claimed_by IS NOT NULL;
CREATE INDEX ddl_job_batch ON lockkeeper.ddl_job (batch_id, batch_seq) WHERE batch_id IS NOT NULL;
CREATE UNIQUE INDEX ddl_job_key ON lockkeeper.ddl_job (key) WHERE key IS NOT NULL;

-- A row per object that a live job touches. A ticket lock: `granted` = its turn on this object.
CREATE TABLE lockkeeper.ddl_job_footprint (
    object    text NOT NULL,                       -- kind:name, as lockkeeper.object_key makes it
    job_id    bigint NOT NULL,
    exclusive boolean NOT NULL,
    granted   boolean NOT NULL,
    PRIMARY KEY (object, job_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX ddl_job_footprint_job ON lockkeeper.ddl_job_footprint (job_id);
CREATE INDEX ddl_job_footprint_exclusive ON lockkeeper.ddl_job_footprint (object, job_id)
    WHERE exclusive;
CREATE INDEX ddl_job_footprint_waiting ON lockkeeper.ddl_job_footprint (object, job_id)
    WHERE NOT granted;

-- Steps of a started job that needs more than its one transaction.
CREATE TABLE lockkeeper.ddl_step (
    job_id     bigint NOT NULL,
    seq        integer NOT NULL,
    kind       text NOT NULL,
    statement  text NOT NULL,
    state      text NOT NULL CHECK (state IN ('pending', 'running', 'done')),
    before     jsonb NOT NULL DEFAULT '{}',      -- what was there when the step began, to tell what it left
    started_at timestamptz,
    ended_at   timestamptz,
    PRIMARY KEY (job_id, seq)
);

CREATE TABLE lockkeeper.ddl_history (
    id           bigint PRIMARY KEY,
    state        lockkeeper.job_state NOT NULL,
    schema_state lockkeeper.schema_state NOT NULL,
    action       text NOT NULL,
    statements   text[] NOT NULL,
    objects      text[] NOT NULL,
    role         name NOT NULL,
    search_path  text NOT NULL,
    settings     jsonb NOT NULL,
    batch_id     bigint,
    batch_seq    integer NOT NULL,
    key          text,
    tries        integer NOT NULL,
    epoch        bigint NOT NULL,
    worker       text,
    error        jsonb,
    steps        jsonb,
    schema_version bigint,
    submitted_at timestamptz NOT NULL,
    started_at   timestamptz,
    ended_at     timestamptz NOT NULL,
    CONSTRAINT only_final_states CHECK (state IN ('cancelled', 'synced', 'rollback done')),
    CONSTRAINT error_when_cancelled CHECK ((state = 'synced') = (error IS NULL))
);
CREATE INDEX ddl_history_ended_at ON lockkeeper.ddl_history (ended_at);
CREATE INDEX ddl_history_batch ON lockkeeper.ddl_history (batch_id) WHERE batch_id IS NOT NULL;
CREATE UNIQUE INDEX ddl_history_key ON lockkeeper.ddl_history (key) WHERE key IS NOT NULL;

-- One number for the database; its row lock makes versions dense and commit in order (promise 4).
CREATE TABLE lockkeeper.ddl_schema_version (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO lockkeeper.ddl_schema_version (version) VALUES (0);
CREATE TABLE lockkeeper.ddl_schema_diff (
    version      bigint PRIMARY KEY,
    job_id       bigint NOT NULL,
    action       text NOT NULL,
    state_from   lockkeeper.schema_state NOT NULL,
    state_to     lockkeeper.schema_state NOT NULL,
    objects      text[] NOT NULL,
    made_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
