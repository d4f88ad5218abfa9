package node

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// Load is what a node's instances were given, those that are on their way to it
// or from it included.
type Load struct {
	Instances int // that are the node's, also those being deleted
	MemoryMiB int64
	DiskMiB   int64
	NanoCPUs  int64
}

const loadColumns = `instances, memory_mib, disk_mib, nano_cpus`

// loadOf gives a node's load; nothing for one that isn't there.
func loadOf(ctx context.Context, q store.Querier, id ident.Node) (l Load, err error) {
	err = q.QueryRowContext(ctx, `SELECT `+loadColumns+` FROM node_loads WHERE node_id = ?`, string(id)).
		Scan(&l.Instances, &l.MemoryMiB, &l.DiskMiB, &l.NanoCPUs)
	if errors.Is(err, store.ErrNoRows) {
		return l, nil
	}
	return l, err
}

// allLoads gives every node's load.
func allLoads(ctx context.Context, q store.Querier) (map[ident.Node]Load, error) {
	out := map[ident.Node]Load{}
	_, err := store.Collect(ctx, q, func(row func(...any) error) (_ struct{}, err error) {
		var id ident.Node
		var l Load
		if err = row(&id, &l.Instances, &l.MemoryMiB, &l.DiskMiB, &l.NanoCPUs); err == nil {
			out[id] = l
		}
		return struct{}{}, err
	}, `SELECT node_id, `+loadColumns+` FROM node_loads`)
	return out, err
}

// candidates gives the nodes that have room for it, the best first: from the
// given place on, at most limit of them (below 0: all). It reads one small table
// whose rows the triggers keep, so that a placement costs little whatever the
// number of nodes and instances.
//
// The score is the share of its capacity that the node would have left, of
// whatever it would have least. Without a limit for CPU that share may be below 0.
func candidates(ctx context.Context, q store.Querier, w Want, by Strategy, from, limit int) ([]ident.Node, error) {
	where := `takes = 1 AND memory_room - memory_mib >= ?1 AND disk_room - disk_mib >= ?2 AND (cores = 0 OR ?3 <= cores * 1000000000)
		AND (cpu_room = 0 OR cpu_room - nano_cpus >= ?3)`
	args := []any{w.MemoryMiB, w.DiskMiB, w.NanoCPUs, limit, from}
	if len(w.Exclude) > 0 {
		list, err := json.Marshal(w.Exclude)
		if err != nil {
			return nil, err
		}
		where += ` AND node_id NOT IN (SELECT value FROM json_each(?6))`
		args = append(args, string(list))
	} else {
		args = append(args, "")
	}
	if len(w.Tags) > 0 {
		list, err := json.Marshal(w.Tags)
		if err != nil {
			return nil, err
		}
		where += ` AND NOT EXISTS (SELECT 1 FROM json_each(?7) AS asked
			WHERE asked.value NOT IN (SELECT has.value FROM nodes, json_each(nodes.tags) AS has WHERE nodes.id = node_id))`
		args = append(args, string(list))
	}
	order := `DESC`
	if by == Pack {
		order = `ASC`
	}
	return store.Collect(ctx, q, func(row func(...any) error) (id ident.Node, err error) { return id, row(&id) },
		`SELECT node_id FROM node_loads WHERE `+where+`
		ORDER BY MIN(CAST(memory_room - memory_mib - ?1 AS REAL) / memory_room, CAST(disk_room - disk_mib - ?2 AS REAL) / disk_room,
			IIF(cores = 0, 1.0, 1.0 - (nano_cpus + ?3) / IIF(cpu_room > 0, cpu_room, cores * 1e9))) `+order+`, instances, name
		LIMIT ?4 OFFSET ?5`, args...)
}

// movesOf counts the moves that a node takes part in. The table is a later
// room's, but its rows hold on to the node's.
func movesOf(ctx context.Context, q store.Querier, id ident.Node) (int, error) {
	return store.Count(ctx, q, `SELECT COUNT(*) FROM moves WHERE from_node = ?1 OR to_node = ?1`, string(id))
}
