-- +goose Up
-- Nodes: how they are reached, what is kept back on them, certificates that are
-- renewed.
ALTER TABLE nodes ADD COLUMN connection TEXT NOT NULL DEFAULT 'dial' CHECK (connection IN ('dial', 'tunnel'));
ALTER TABLE nodes ADD COLUMN maintenance INTEGER NOT NULL DEFAULT 0; -- takes no new instances
ALTER TABLE nodes ADD COLUMN cpu_factor REAL NOT NULL DEFAULT 0; -- cores times it may be given away; 0: CPU is not counted
ALTER TABLE nodes ADD COLUMN memory_reserve_mib INTEGER NOT NULL DEFAULT 0; -- kept back from instances
ALTER TABLE nodes ADD COLUMN disk_reserve_mib INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN next_certificate TEXT NOT NULL DEFAULT ''; -- serial of the one that is on its way to the agent
ALTER TABLE nodes ADD COLUMN certificate_ends_at INTEGER;
ALTER TABLE nodes ADD COLUMN announced TEXT NOT NULL DEFAULT '' CHECK (announced IN ('', 'online', 'offline')); -- what was told of it last

-- What an agent does about changes by hand: repair or report.
ALTER TABLE instances ADD COLUMN drift TEXT NOT NULL DEFAULT 'repair' CHECK (drift IN ('repair', 'report'));

-- Jobs: a lease, what they remember, and tasks that are done in order.
ALTER TABLE jobs ADD COLUMN lease_until INTEGER; -- while a handler runs
ALTER TABLE jobs ADD COLUMN waiting_since INTEGER; -- for its node, NULL when it doesn't
ALTER TABLE jobs ADD COLUMN memory TEXT NOT NULL DEFAULT '{}'; -- JSON, of the kind's own
-- Living jobs are few beside those that have ended: what is asked all the time
-- is indexed for them alone.
DROP INDEX jobs_due;
CREATE INDEX jobs_due ON jobs (run_at) WHERE finished_at IS NULL AND handed = 0 AND lease_until IS NULL;
CREATE INDEX jobs_lease ON jobs (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX jobs_deadline ON jobs (deadline) WHERE finished_at IS NULL;
CREATE INDEX jobs_node ON jobs (node_id) WHERE finished_at IS NULL;
CREATE INDEX jobs_kind ON jobs (kind, created_at) WHERE finished_at IS NULL;
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE TABLE job_tasks (
    job_id      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'running', 'done', 'failed', 'cancelled', 'skipped')),
    started_at  INTEGER,
    finished_at INTEGER,
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;

-- Instances on their way from one node to another. 'copying': the instance is on
-- from_node, and room is kept on to_node. 'switched': it is on to_node, which has
-- not said yet that it is well there. 'leaving': the copy on from_node is being
-- removed; so is what came to a node in vain, which is its from_node then.
CREATE TABLE moves (
    job_id      TEXT PRIMARY KEY, -- that works on it: the move, and when it is 'leaving' the eviction
    instance_id TEXT NOT NULL,    -- no reference: what is left behind outlives the instance
    from_node   TEXT NOT NULL REFERENCES nodes (id),
    to_node     TEXT NOT NULL REFERENCES nodes (id),
    stage       TEXT NOT NULL CHECK (stage IN ('copying', 'switched', 'leaving')),
    counts_on   TEXT NOT NULL REFERENCES nodes (id), -- the node on which it takes room beside the instance's own row
    memory_mib  INTEGER NOT NULL,
    disk_mib    INTEGER NOT NULL,
    nano_cpus   INTEGER NOT NULL,
    generation  INTEGER NOT NULL, -- that from_node was told last; when it is 'leaving', of the removal, and 0 when no instance was there
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX moves_one_at_a_time ON moves (instance_id) WHERE stage <> 'leaving';
CREATE INDEX moves_instance ON moves (instance_id);
CREATE INDEX moves_from ON moves (from_node);
CREATE INDEX moves_to ON moves (to_node);

-- What agents hold and no instance here stands for: of before a restored copy of
-- this database, or of another controller.
CREATE TABLE strays (
    node_id     TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    instance_id TEXT NOT NULL,
    generation  INTEGER NOT NULL,
    state       TEXT NOT NULL, -- JSON, wire.State
    found_at    INTEGER NOT NULL,
    PRIMARY KEY (node_id, instance_id)
) STRICT, WITHOUT ROWID;

-- The free ports of each node's pool: a deployment takes the lowest.
CREATE INDEX allocations_free ON allocations (node_id, port) WHERE pooled = 1 AND instance_id IS NULL;

-- What each node may give to instances, and what they were given: all that
-- placement looks at, of every node for each deployment. Kept by triggers.
CREATE TABLE node_loads (
    node_id     TEXT PRIMARY KEY REFERENCES nodes (id) ON DELETE CASCADE,
    name        TEXT NOT NULL DEFAULT '' COLLATE NOCASE,
    takes       INTEGER NOT NULL DEFAULT 0, -- 1: let in, and not in maintenance
    memory_room INTEGER NOT NULL DEFAULT 0, -- MiB in all: declared times the factor, without the reserve
    disk_room   INTEGER NOT NULL DEFAULT 0,
    cpu_room    INTEGER NOT NULL DEFAULT 0, -- billionths of a core; 0: not limited
    cores       INTEGER NOT NULL DEFAULT 0, -- 0: nobody knows
    instances   INTEGER NOT NULL DEFAULT 0,
    memory_mib  INTEGER NOT NULL DEFAULT 0, -- given, as are the next two
    disk_mib    INTEGER NOT NULL DEFAULT 0,
    nano_cpus   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO node_loads (node_id, instances, memory_mib, disk_mib, nano_cpus)
SELECT n.id, COUNT(i.id), COALESCE(SUM(i.memory_mib), 0), COALESCE(SUM(i.disk_mib), 0), COALESCE(SUM(i.nano_cpus), 0)
FROM nodes n LEFT JOIN instances i ON i.node_id = n.id GROUP BY n.id;

-- +goose StatementBegin
CREATE TRIGGER node_loads_node_changed AFTER UPDATE OF name, memory_mib, disk_mib, memory_factor, disk_factor, cpu_factor, memory_reserve_mib,
    disk_reserve_mib, maintenance, enrolled_at, revoked_at, hello ON nodes BEGIN
    UPDATE node_loads SET name = new.name,
        takes = (new.enrolled_at IS NOT NULL AND new.revoked_at IS NULL AND new.maintenance = 0),
        memory_room = CAST(new.memory_mib * new.memory_factor AS INTEGER) - new.memory_reserve_mib,
        disk_room = CAST(new.disk_mib * new.disk_factor AS INTEGER) - new.disk_reserve_mib,
        cores = COALESCE(CAST(new.hello ->> '$.engine.cores' AS INTEGER), 0),
        cpu_room = CAST(COALESCE(CAST(new.hello ->> '$.engine.cores' AS INTEGER), 0) * new.cpu_factor * 1000000000 AS INTEGER)
    WHERE node_id = new.id;
END;
-- +goose StatementEnd
UPDATE nodes SET name = name; -- has the trigger fill in what they may give

-- +goose StatementBegin
CREATE TRIGGER node_loads_begin AFTER INSERT ON nodes BEGIN
    INSERT INTO node_loads (node_id) VALUES (new.id);
    UPDATE nodes SET name = new.name WHERE id = new.id; -- as above
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER node_loads_instance_added AFTER INSERT ON instances BEGIN
    UPDATE node_loads SET instances = instances + 1, memory_mib = memory_mib + new.memory_mib, disk_mib = disk_mib + new.disk_mib,
        nano_cpus = nano_cpus + new.nano_cpus WHERE node_id = new.node_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER node_loads_instance_removed AFTER DELETE ON instances BEGIN
    UPDATE node_loads SET instances = instances - 1, memory_mib = memory_mib - old.memory_mib, disk_mib = disk_mib - old.disk_mib,
        nano_cpus = nano_cpus - old.nano_cpus WHERE node_id = old.node_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER node_loads_instance_changed AFTER UPDATE OF node_id, memory_mib, disk_mib, nano_cpus ON instances
WHEN old.node_id <> new.node_id OR old.memory_mib <> new.memory_mib OR old.disk_mib <> new.disk_mib OR old.nano_cpus <> new.nano_cpus BEGIN
    UPDATE node_loads SET instances = instances - 1, memory_mib = memory_mib - old.memory_mib, disk_mib = disk_mib - old.disk_mib,
        nano_cpus = nano_cpus - old.nano_cpus WHERE node_id = old.node_id;
    UPDATE node_loads SET instances = instances + 1, memory_mib = memory_mib + new.memory_mib, disk_mib = disk_mib + new.disk_mib,
        nano_cpus = nano_cpus + new.nano_cpus WHERE node_id = new.node_id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER node_loads_move_added AFTER INSERT ON moves BEGIN
    UPDATE node_loads SET memory_mib = memory_mib + new.memory_mib, disk_mib = disk_mib + new.disk_mib, nano_cpus = nano_cpus + new.nano_cpus
        WHERE node_id = new.counts_on;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER node_loads_move_removed AFTER DELETE ON moves BEGIN
    UPDATE node_loads SET memory_mib = memory_mib - old.memory_mib, disk_mib = disk_mib - old.disk_mib, nano_cpus = nano_cpus - old.nano_cpus
        WHERE node_id = old.counts_on;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER node_loads_move_changed AFTER UPDATE ON moves BEGIN
    UPDATE node_loads SET memory_mib = memory_mib - old.memory_mib, disk_mib = disk_mib - old.disk_mib, nano_cpus = nano_cpus - old.nano_cpus
        WHERE node_id = old.counts_on;
    UPDATE node_loads SET memory_mib = memory_mib + new.memory_mib, disk_mib = disk_mib + new.disk_mib, nano_cpus = nano_cpus + new.nano_cpus
        WHERE node_id = new.counts_on;
END;
-- +goose StatementEnd

-- The status counts these for everybody who looks.
CREATE INDEX instances_actual ON instances (actual);
CREATE INDEX instances_suspended ON instances (suspended) WHERE suspended = 1;
