package allocation

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

const columns = `id, node_id, ip, port, pooled, COALESCE(instance_id, ''), COALESCE(container_port, 0), is_primary, created_at`

func scan(row func(...any) error) (Allocation, error) {
	var a Allocation
	var created int64
	err := row(&a.ID, &a.Node, &a.IP, &a.Port, &a.Pooled, &a.Instance, &a.ContainerPort, &a.Primary, &created)
	a.CreatedAt = time.UnixMilli(created).UTC()
	return a, err
}

// Of gives what an instance holds, in the order in which it asked.
func Of(ctx context.Context, q store.Querier, id ident.Instance) ([]Allocation, error) {
	return store.Collect(ctx, q, scan, `SELECT `+columns+` FROM allocations WHERE instance_id = ? ORDER BY position, port`, string(id))
}

// onPort gives a node's allocations of one port, on any address.
// It runs for each port that is taken; of +? see package store.
func onPort(ctx context.Context, q store.Querier, node ident.Node, port uint16) ([]Allocation, error) {
	return store.Collect(ctx, q, scan, `SELECT `+columns+` FROM `+everywhere+` WHERE node_id = +? AND port = +? ORDER BY ip`, string(node), port)
}

// onPorts gives a node's allocations of these ports, on any address.
func onPorts(ctx context.Context, q store.Querier, node ident.Node, ports []uint16) (map[uint16][]Allocation, error) {
	list, err := json.Marshal(ports)
	if err != nil {
		return nil, err
	}
	found, err := store.Collect(ctx, q, scan, `SELECT `+columns+` FROM `+everywhere+` WHERE node_id = ? AND port IN (SELECT value FROM json_each(?))
		ORDER BY port, ip`, string(node), string(list))
	out := map[uint16][]Allocation{}
	for _, a := range found {
		out[a.Port] = append(out[a.Port], a)
	}
	return out, err
}

// freeInPool gives the lowest free ports of a node's pool, each once, without the
// named ones and those that somebody holds on an overlapping address.
func freeInPool(ctx context.Context, q store.Querier, node ident.Node, but []uint16, limit int) ([]Allocation, error) {
	list, err := json.Marshal(append([]uint16{}, but...))
	if err != nil {
		return nil, err
	}
	const wildcards = `('0.0.0.0', '::')`
	return store.Collect(ctx, q, scan, `SELECT `+columns+` FROM allocations AS a
		WHERE node_id = ?1 AND pooled = 1 AND instance_id IS NULL AND port NOT IN (SELECT value FROM json_each(?2))
			AND NOT EXISTS (SELECT 1 FROM allocations AS held WHERE held.node_id = ?1 AND held.port = a.port AND held.instance_id IS NOT NULL
				AND (held.ip = a.ip OR held.ip IN `+wildcards+` OR a.ip IN `+wildcards+`))
			AND NOT EXISTS (SELECT 1 FROM reserved_ports AS used WHERE used.node_id = ?1 AND used.port = a.port
				AND (used.ip = a.ip OR used.ip IN `+wildcards+` OR a.ip IN `+wildcards+`))
		GROUP BY port HAVING ip = MIN(ip) ORDER BY port LIMIT ?3`, string(node), string(list), limit)
}

func insert(ctx context.Context, tx *store.Tx, a Allocation) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO allocations (id, node_id, ip, port, pooled, created_at) VALUES (?, ?, ?, ?, ?, ?)`,
		string(a.ID), string(a.Node), a.IP, a.Port, a.Pooled, a.CreatedAt.UnixMilli())
	return err
}

func hold(ctx context.Context, tx *store.Tx, a Allocation, position int) error {
	_, err := tx.ExecContext(ctx, `UPDATE allocations SET instance_id = ?, container_port = ?, is_primary = ?, position = ? WHERE id = ?`,
		string(a.Instance), a.ContainerPort, a.Primary, position, string(a.ID))
	return err
}

// free gives an instance's allocations back: the pool's to the pool, the others
// go.
func free(ctx context.Context, tx *store.Tx, id ident.Instance) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM allocations WHERE instance_id = ? AND pooled = 0`, string(id)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE allocations SET instance_id = NULL, container_port = NULL, is_primary = 0, position = 0
		WHERE instance_id = ?`, string(id))
	return err
}

func get(ctx context.Context, q store.Querier, node ident.Node, id ident.Allocation) (Allocation, error) {
	return scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM allocations WHERE node_id = ? AND id = ?`, string(node), string(id)).Scan)
}

func remove(ctx context.Context, tx *store.Tx, id ident.Allocation) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM allocations WHERE id = ?`, string(id))
	return err
}

// elsewhere gives a node's allocations of these ports on other addresses.
func elsewhere(ctx context.Context, q store.Querier, node ident.Node, ip string, ports []uint16) ([]Allocation, error) {
	list, err := json.Marshal(ports) // one parameter, however many there are
	if err != nil {
		return nil, err
	}
	return store.Collect(ctx, q, scan, `SELECT `+columns+` FROM allocations WHERE node_id = ? AND ip <> ? AND port IN (SELECT value FROM json_each(?))
		ORDER BY port, ip`, string(node), ip, string(list))
}

// pool has those of these ports that are there stay when their instances go,
// and counts them.
func pool(ctx context.Context, tx *store.Tx, node ident.Node, ip string, ports []uint16) (int, error) {
	list, err := json.Marshal(ports)
	if err != nil {
		return 0, err
	}
	return changed(tx.ExecContext(ctx, `UPDATE allocations SET pooled = 1 WHERE node_id = ? AND ip = ? AND port IN (SELECT value FROM json_each(?))`,
		string(node), ip, string(list)))
}

// fill makes the others of these ports, and counts them.
func fill(ctx context.Context, tx *store.Tx, node ident.Node, ip string, ports []uint16, now time.Time) (int, error) {
	rows := make([][2]any, len(ports))
	for n, port := range ports {
		rows[n] = [2]any{ident.New(), port}
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return 0, err
	}
	return changed(tx.ExecContext(ctx, `INSERT INTO allocations (id, node_id, ip, port, pooled, created_at)
		SELECT value ->> 0, ?, ?, value ->> 1, 1, ? FROM json_each(?) WHERE true ON CONFLICT (node_id, port, ip) DO NOTHING`,
		string(node), ip, now.UnixMilli(), string(list)))
}

func changed(result sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := result.RowsAffected()
	return int(n), err
}

// Filter narrows a list.
type Filter struct {
	Node   ident.Node
	Use    string // "free", "used"; "" both
	Limit  int
	Offset int
}

func list(ctx context.Context, q store.Querier, f Filter) ([]Allocation, int, error) {
	where := ` WHERE node_id = ?`
	switch f.Use {
	case "free":
		where += ` AND instance_id IS NULL`
	case "used":
		where += ` AND instance_id IS NOT NULL`
	}
	total, err := store.Count(ctx, q, `SELECT COUNT(*) FROM allocations`+where, string(f.Node))
	if err != nil {
		return nil, 0, err
	}
	items, err := store.Collect(ctx, q, scan, `SELECT `+columns+` FROM allocations`+where+` ORDER BY port, ip LIMIT ? OFFSET ?`, string(f.Node), f.Limit, f.Offset)
	return items, total, err
}
