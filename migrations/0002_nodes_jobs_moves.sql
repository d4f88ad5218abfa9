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

-- What an agent does about changes by hand: repair or report.
ALTER TABLE instances ADD COLUMN drift TEXT NOT NULL DEFAULT 'repair' CHECK (drift IN ('repair', 'report'));

-- Jobs: a lease, what they remember, and tasks that are done in order.
ALTER TABLE jobs ADD COLUMN lease_until INTEGER; -- while a handler runs
ALTER TABLE jobs ADD COLUMN memory TEXT NOT NULL DEFAULT '{}'; -- JSON, of the kind's own
CREATE TABLE job_tasks (
    job_id      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    position    INTEGER NOT NULL,
    name        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'running', 'done', 'failed')),
    started_at  INTEGER,
    finished_at INTEGER,
    PRIMARY KEY (job_id, position)
) STRICT, WITHOUT ROWID;

-- Instances on their way from one node to another. 'copying': the instance is on
-- from_node, and room is kept on to_node. 'switched': it is on to_node, which has
-- not said yet that it is well there. 'leaving': the copy on from_node is being
-- removed.
CREATE TABLE moves (
    job_id      TEXT PRIMARY KEY, -- of the move
    instance_id TEXT NOT NULL,    -- no reference: what is left behind outlives the instance
    from_node   TEXT NOT NULL REFERENCES nodes (id),
    to_node     TEXT NOT NULL REFERENCES nodes (id),
    stage       TEXT NOT NULL CHECK (stage IN ('copying', 'switched', 'leaving')),
    counts_on   TEXT NOT NULL REFERENCES nodes (id), -- the node on which it takes room beside the instance's own row
    memory_mib  INTEGER NOT NULL,
    disk_mib    INTEGER NOT NULL,
    nano_cpus   INTEGER NOT NULL,
    was_running INTEGER NOT NULL, -- what power the source is given back when the move is given up
    ports       TEXT NOT NULL,    -- JSON, on the target
    generation  INTEGER NOT NULL, -- that the source was told last
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

-- What each node's instances were given, kept by triggers: placement looks at
-- every node for each deployment.
CREATE TABLE node_loads (
    node_id    TEXT PRIMARY KEY REFERENCES nodes (id) ON DELETE CASCADE,
    instances  INTEGER NOT NULL DEFAULT 0,
    memory_mib INTEGER NOT NULL DEFAULT 0,
    disk_mib   INTEGER NOT NULL DEFAULT 0,
    nano_cpus  INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO node_loads (node_id, instances, memory_mib, disk_mib, nano_cpus)
SELECT n.id, COUNT(i.id), COALESCE(SUM(i.memory_mib), 0), COALESCE(SUM(i.disk_mib), 0), COALESCE(SUM(i.nano_cpus), 0)
FROM nodes n LEFT JOIN instances i ON i.node_id = n.id GROUP BY n.id;

-- +goose StatementBegin
CREATE TRIGGER node_loads_begin AFTER INSERT ON nodes BEGIN
    INSERT INTO node_loads (node_id) VALUES (new.id);
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
