package allocation

import (
	"context"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// ofOn gives what an instance holds on one node, in the order in which it asked.
func ofOn(ctx context.Context, q store.Querier, id ident.Instance, node ident.Node) ([]Allocation, error) {
	return store.Collect(ctx, q, scan, `SELECT `+columns+` FROM allocations WHERE instance_id = ? AND node_id = ? ORDER BY position, port`,
		string(id), string(node))
}

// freeOn gives an instance's allocations of one node back: the pool's to the
// pool, the others go.
func freeOn(ctx context.Context, tx *store.Tx, id ident.Instance, node ident.Node) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM allocations WHERE instance_id = ? AND node_id = ? AND pooled = 0`, string(id), string(node)); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE allocations SET instance_id = NULL, container_port = NULL, is_primary = 0, position = 0
		WHERE instance_id = ? AND node_id = ?`, string(id), string(node))
	return err
}

// onNode gives all allocations of a node by their ports.
func onNode(ctx context.Context, q store.Querier, node ident.Node) (map[uint16][]Allocation, error) {
	all, err := store.Collect(ctx, q, scan, `SELECT `+columns+` FROM `+everywhere+` WHERE node_id = ? ORDER BY port, ip`, string(node))
	out := map[uint16][]Allocation{}
	for _, a := range all {
		out[a.Port] = append(out[a.Port], a)
	}
	return out, err
}
