-- +goose Up
-- Times are milliseconds since 1970 UTC. Booleans are 0 or 1. Sizes are MiB.

CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    username      TEXT NOT NULL COLLATE NOCASE UNIQUE,
    email         TEXT NOT NULL COLLATE NOCASE UNIQUE,
    password_hash TEXT NOT NULL, -- argon2id, PHC string
    admin         INTEGER NOT NULL DEFAULT 0,
    verified      INTEGER NOT NULL DEFAULT 0,
    disabled      INTEGER NOT NULL DEFAULT 0,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    hash         BLOB NOT NULL UNIQUE, -- SHA-256 of the key
    hint         TEXT NOT NULL,        -- its first characters, to tell keys apart
    scopes       TEXT NOT NULL,        -- comma-separated: read, write, admin
    dialect      TEXT NOT NULL,        -- of the classic API: documented, v0.3
    rate_limit   INTEGER,              -- calls a minute; 0 none; NULL the default
    expires_at   INTEGER,
    last_used_at INTEGER,
    created_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX api_keys_user ON api_keys (user_id);

CREATE TABLE idempotent_answers (
    key_id     TEXT NOT NULL, -- of the API key, or 'local'
    idem_key   TEXT NOT NULL,
    request    BLOB NOT NULL, -- SHA-256 of method, path and body
    status     INTEGER,       -- NULL while the first call is under way
    body       BLOB,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (key_id, idem_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotent_answers_age ON idempotent_answers (created_at);

CREATE TABLE images (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL COLLATE NOCASE UNIQUE,
    reference   TEXT NOT NULL,  -- the first of its references
    definition  TEXT NOT NULL,  -- JSON, see controller/image.Definition
    created_seq INTEGER NOT NULL UNIQUE, -- the lowest answers for a shared reference
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;

CREATE TABLE image_references (
    reference TEXT NOT NULL,
    image_id  TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    position  INTEGER NOT NULL,
    PRIMARY KEY (reference, image_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE nodes (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL COLLATE NOCASE UNIQUE,
    tags           TEXT NOT NULL, -- JSON array of text
    address        TEXT NOT NULL, -- where the controller dials the agent
    port           INTEGER NOT NULL,
    bind_address   TEXT NOT NULL, -- where instances' ports are bound
    public_host    TEXT NOT NULL, -- what players are told; '' is the address
    processor      TEXT NOT NULL, -- free text
    memory_mib     INTEGER NOT NULL,
    disk_mib       INTEGER NOT NULL,
    memory_factor  REAL NOT NULL DEFAULT 1, -- 1 is no overcommitment
    disk_factor    REAL NOT NULL DEFAULT 1,
    certificate    TEXT NOT NULL DEFAULT '', -- serial of the one that is let in; '' before the enrolment
    enrolled_at    INTEGER,
    revoked_at     INTEGER,
    hello          TEXT NOT NULL DEFAULT '{}', -- JSON, the last wire.Hello
    last_seen_at   INTEGER,
    event_epoch    TEXT NOT NULL DEFAULT '',
    event_seq      INTEGER NOT NULL DEFAULT 0, -- the last event that took effect
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;

CREATE TABLE enrolment_keys (
    id         TEXT PRIMARY KEY,
    node_id    TEXT REFERENCES nodes (id) ON DELETE CASCADE, -- NULL: a join key
    name       TEXT NOT NULL,
    secret     BLOB NOT NULL, -- sealed with the controller's own key
    tags       TEXT NOT NULL, -- JSON; for the nodes that a join key makes
    uses_left  INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX enrolment_keys_node ON enrolment_keys (node_id);

-- Who was let in by which key: an answer that was lost on its way is given again
-- to the same public key.
CREATE TABLE enrolments (
    key_id     TEXT NOT NULL REFERENCES enrolment_keys (id) ON DELETE CASCADE,
    public_key BLOB NOT NULL, -- SHA-256 of it
    node_id    TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    serial     TEXT NOT NULL,
    PRIMARY KEY (key_id, public_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE instances (
    id             TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    owner_id       TEXT NOT NULL REFERENCES users (id),
    node_id        TEXT NOT NULL REFERENCES nodes (id),
    image_id       TEXT NOT NULL REFERENCES images (id),
    reference      TEXT NOT NULL,
    memory_mib     INTEGER NOT NULL,
    nano_cpus      INTEGER NOT NULL,
    disk_mib       INTEGER NOT NULL,
    variables      TEXT NOT NULL, -- JSON object of text
    spec           TEXT NOT NULL, -- JSON, the wire.Spec of this generation: what the node is told
    generation     INTEGER NOT NULL,
    power          TEXT NOT NULL CHECK (power IN ('running', 'stopped')),
    suspended      INTEGER NOT NULL DEFAULT 0,
    suspend_reason TEXT NOT NULL DEFAULT '',
    phase          TEXT NOT NULL CHECK (phase IN ('installing', 'ready', 'failed', 'deleting')),
    actual         TEXT NOT NULL CHECK (actual IN ('unknown', 'starting', 'running', 'stopping', 'stopped', 'crashed')),
    failure        TEXT, -- JSON problem
    container_id   TEXT NOT NULL DEFAULT '',
    observed       TEXT NOT NULL DEFAULT '{}', -- JSON, the last wire.State
    observed_generation INTEGER NOT NULL DEFAULT 0,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX instances_owner ON instances (owner_id);
CREATE INDEX instances_node ON instances (node_id);
CREATE INDEX instances_image ON instances (image_id);
-- Lists are sorted by it unless they are asked for otherwise: a page of them
-- must not cost more the more instances there are.
CREATE INDEX instances_created ON instances (created_at, id);

-- How many instances there are, for lists that show all of them: counting the
-- rows reads an entry of each.
CREATE TABLE totals (
    name  TEXT PRIMARY KEY,
    total INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO totals (name, total) VALUES ('instances', 0);

-- +goose StatementBegin
CREATE TRIGGER instances_more AFTER INSERT ON instances BEGIN
    UPDATE totals SET total = total + 1 WHERE name = 'instances';
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER instances_fewer AFTER DELETE ON instances BEGIN
    UPDATE totals SET total = total - 1 WHERE name = 'instances';
END;
-- +goose StatementEnd

CREATE TABLE allocations (
    id             TEXT PRIMARY KEY,
    node_id        TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    ip             TEXT NOT NULL,
    port           INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    pooled         INTEGER NOT NULL, -- 1: stays when its instance goes; 0: was made for the instance
    instance_id    TEXT REFERENCES instances (id),
    container_port INTEGER,
    is_primary     INTEGER NOT NULL DEFAULT 0,
    position       INTEGER NOT NULL DEFAULT 0, -- within the instance
    created_at     INTEGER NOT NULL,
    UNIQUE (node_id, port, ip)
) STRICT;
CREATE INDEX allocations_instance ON allocations (instance_id);

CREATE TABLE jobs (
    id          TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,
    instance_id TEXT, -- no reference: a job outlives its instance
    node_id     TEXT,
    owner_id    TEXT, -- who besides admins may see it
    actor       TEXT NOT NULL, -- who asked: JSON, see controller/access.Actor
    input       TEXT NOT NULL, -- JSON
    state       TEXT NOT NULL CHECK (state IN ('queued', 'waiting', 'running', 'succeeded', 'failed', 'cancelled')),
    handed      INTEGER NOT NULL DEFAULT 0, -- running, and ended by an event from outside
    step        TEXT NOT NULL DEFAULT '',
    percent     INTEGER NOT NULL DEFAULT -1,
    message     TEXT NOT NULL DEFAULT '',
    failure     TEXT, -- JSON problem
    attempt     INTEGER NOT NULL DEFAULT 0,
    run_at      INTEGER NOT NULL,
    deadline    INTEGER NOT NULL,
    retry_of    TEXT,
    created_at  INTEGER NOT NULL,
    started_at  INTEGER,
    finished_at INTEGER
) STRICT;
CREATE UNIQUE INDEX jobs_one_per_instance ON jobs (instance_id) WHERE state IN ('queued', 'waiting', 'running');
CREATE INDEX jobs_due ON jobs (state, run_at);
CREATE INDEX jobs_instance ON jobs (instance_id, created_at);
CREATE INDEX jobs_created ON jobs (created_at);

CREATE TABLE job_lines (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    line   TEXT NOT NULL,
    PRIMARY KEY (job_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    type        TEXT NOT NULL, -- 'instance.suspended'
    owner_id    TEXT,          -- who besides admins may see it
    instance_id TEXT,
    node_id     TEXT,
    job_id      TEXT,
    subject_id  TEXT,          -- of the user, key, image, allocation it is about
    actor       TEXT NOT NULL, -- JSON
    data        TEXT NOT NULL  -- JSON
) STRICT;
CREATE INDEX events_instance ON events (instance_id, id);
CREATE INDEX events_owner ON events (owner_id, id);
CREATE INDEX events_at ON events (at);
