-- +goose Up
-- The public keys by which users log in over SFTP.
CREATE TABLE ssh_keys (
    id          TEXT PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    public_key  TEXT NOT NULL, -- as in authorized_keys, without comment
    fingerprint TEXT NOT NULL, -- SHA256:…
    created_at  INTEGER NOT NULL,
    UNIQUE (user_id, fingerprint)
) STRICT;

-- How an instance's ends are dealt with, where that differs from its image's defaults.
ALTER TABLE instances ADD COLUMN crash TEXT NOT NULL DEFAULT '{}'; -- JSON, wire.Crash

-- Uploads under way: the parts are on the instance's node.
CREATE TABLE uploads (
    id          TEXT PRIMARY KEY,
    instance_id TEXT NOT NULL REFERENCES instances (id) ON DELETE CASCADE,
    user_id     TEXT, -- who began it; NULL on the controller's own socket
    path        TEXT NOT NULL, -- wire.Path in its text form
    size        INTEGER NOT NULL,
    overwrite   INTEGER NOT NULL DEFAULT 0,
    state       TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'finishing', 'finished')),
    created_at  INTEGER NOT NULL,
    touched_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_instance ON uploads (instance_id);
CREATE INDEX uploads_touched ON uploads (touched_at);

-- Work on an instance's files goes on beside the instance's one job.
ALTER TABLE jobs ADD COLUMN beside INTEGER NOT NULL DEFAULT 0;
DROP INDEX jobs_one_per_instance;
CREATE UNIQUE INDEX jobs_one_per_instance ON jobs (instance_id) WHERE state IN ('queued', 'waiting', 'running') AND beside = 0;
CREATE INDEX jobs_beside ON jobs (instance_id) WHERE finished_at IS NULL AND beside = 1;

-- Ports of a node that something uses which is no instance of it: its strays.
CREATE TABLE reserved_ports (
    node_id     TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    port        INTEGER NOT NULL CHECK (port BETWEEN 1 AND 65535),
    ip          TEXT NOT NULL,
    instance_id TEXT NOT NULL, -- the stray's: no reference
    PRIMARY KEY (node_id, port, ip, instance_id)
) STRICT, WITHOUT ROWID;
