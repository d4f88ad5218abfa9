package allocation

import (
	"context"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// everywhere are a node's allocations and, as if they were held ones without an
// id, the ports of its strays.
const everywhere = `(SELECT id, node_id, ip, port, pooled, instance_id, container_port, is_primary, created_at FROM allocations
	UNION ALL SELECT '', node_id, ip, port, 0, instance_id, 0, 0, 0 FROM reserved_ports)`

func reserve(ctx context.Context, tx *store.Tx, node ident.Node, stray ident.Instance, ip string, port uint16) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO reserved_ports (node_id, port, ip, instance_id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING`,
		string(node), port, ip, string(stray))
	return err
}

func unreserve(ctx context.Context, tx *store.Tx, node ident.Node, stray ident.Instance) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM reserved_ports WHERE node_id = ? AND instance_id = ?`, string(node), string(stray))
	return err
}
