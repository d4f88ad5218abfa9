-- +goose Up
-- Who may do what, how people log in, and who of them may use whose instances.

-- Admin roles: named sets of permissions.
CREATE TABLE roles (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL COLLATE NOCASE UNIQUE,
    description TEXT NOT NULL DEFAULT '',
    permissions TEXT NOT NULL, -- JSON array, see controller/access.Permission
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;

ALTER TABLE users ADD COLUMN role_id TEXT REFERENCES roles (id) ON DELETE SET NULL; -- NULL: a customer, or with admin all there is
ALTER TABLE users ADD COLUMN locale TEXT NOT NULL DEFAULT ''; -- of his mails and pages; '' the browser's
-- What he may have at most; NULL no limit. CPU in billionths of a core.
ALTER TABLE users ADD COLUMN max_instances INTEGER;
ALTER TABLE users ADD COLUMN max_memory_mib INTEGER;
ALTER TABLE users ADD COLUMN max_nano_cpus INTEGER;
ALTER TABLE users ADD COLUMN max_disk_mib INTEGER;
CREATE INDEX users_role ON users (role_id);

-- From where a key may be used: JSON array of addresses and networks; empty: from everywhere.
ALTER TABLE api_keys ADD COLUMN addresses TEXT NOT NULL DEFAULT '[]';

-- Users who may use an instance that isn't theirs.
CREATE TABLE subusers (
    instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    rights      TEXT NOT NULL, -- JSON array, see controller/access.Right
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (instance_id, user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX subusers_user ON subusers (user_id);

-- The panel's logins.
CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash         BLOB NOT NULL UNIQUE, -- SHA-256 of the cookie
    means        TEXT NOT NULL,        -- password, passkey, oidc, link
    address      TEXT NOT NULL,
    browser      TEXT NOT NULL,        -- User-Agent, shortened
    created_at   INTEGER NOT NULL,
    proved_at    INTEGER NOT NULL,     -- when he last proved who he is
    last_seen_at INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_end ON sessions (expires_at);

CREATE TABLE authenticators (
    user_id      TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    secret       BLOB NOT NULL, -- of TOTP, sealed with the controller's own key
    last_step    INTEGER NOT NULL DEFAULT 0, -- the last one that was accepted: none works twice
    confirmed_at INTEGER, -- NULL while it is being set up
    created_at   INTEGER NOT NULL
) STRICT;

CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash    BLOB NOT NULL, -- SHA-256; the code is random
    used_at INTEGER,
    PRIMARY KEY (user_id, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE passkeys (
    id            TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name          TEXT NOT NULL,
    credential_id BLOB NOT NULL UNIQUE,
    credential    TEXT NOT NULL, -- JSON, of the WebAuthn library; public key and counter
    created_at    INTEGER NOT NULL,
    last_used_at  INTEGER
) STRICT;
CREATE INDEX passkeys_user ON passkeys (user_id);

-- One-time links: invitations, forgotten passwords, new addresses.
CREATE TABLE links (
    id         TEXT PRIMARY KEY,
    purpose    TEXT NOT NULL CHECK (purpose IN ('invite', 'reset', 'email')),
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    hash       BLOB NOT NULL UNIQUE, -- SHA-256 of what is in the link
    email      TEXT NOT NULL DEFAULT '', -- where it was mailed to, with purpose email the new address; '' it was handed over
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX links_user ON links (user_id);

-- Who somebody is at another login.
CREATE TABLE oidc_identities (
    issuer       TEXT NOT NULL,
    subject      TEXT NOT NULL,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email        TEXT NOT NULL DEFAULT '',
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX oidc_identities_user ON oidc_identities (user_id);

-- Mails that are still to be sent. What a mail says is made when it is sent, so
-- that none of its secrets waits here.
CREATE TABLE mails (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    about      TEXT NOT NULL, -- JSON, of the room whose kind it is; never a secret
    attempts   INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    until      INTEGER NOT NULL -- then it is given up
) STRICT;
CREATE INDEX mails_next ON mails (next_at);

-- What an admin sets in the panel, a JSON document for each room.
CREATE TABLE settings (
    name       TEXT PRIMARY KEY,
    value      TEXT NOT NULL, -- JSON without secrets
    secret     BLOB,          -- sealed with the controller's own key
    updated_at INTEGER NOT NULL
) STRICT;

-- The log of events as the log of who did what: by person, by door, by thing.
ALTER TABLE events ADD COLUMN actor_id TEXT GENERATED ALWAYS AS (json_extract(actor, '$.user')) VIRTUAL;
ALTER TABLE events ADD COLUMN via TEXT GENERATED ALWAYS AS (json_extract(actor, '$.via')) VIRTUAL;
ALTER TABLE events ADD COLUMN thing TEXT GENERATED ALWAYS AS (substr(type, 1, instr(type, '.') - 1)) VIRTUAL;
CREATE INDEX events_actor ON events (actor_id, id);
CREATE INDEX events_via ON events (via, id);
CREATE INDEX events_thing ON events (thing, id);
CREATE INDEX events_type ON events (type, id);
CREATE INDEX events_node ON events (node_id, id) WHERE node_id IS NOT NULL;
CREATE INDEX events_job ON events (job_id, id) WHERE job_id IS NOT NULL;
CREATE INDEX events_subject ON events (subject_id, id) WHERE subject_id IS NOT NULL;
-- What is in it stays as it was written, whatever some later code tries; it only
-- grows too old.
-- +goose StatementBegin
CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'what happened is not changed'); END;
-- +goose StatementEnd
