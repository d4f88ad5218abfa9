package node

import (
	"context"

	"github.com/berth-panel/berth/controller/store"
)

// saveEnd notes when the node's certificate ends, of one that was made before
// that was kept.
func saveEnd(ctx context.Context, tx *store.Tx, n Node) error {
	_, err := tx.ExecContext(ctx, `UPDATE nodes SET certificate_ends_at = ? WHERE id = ? AND certificate = ? AND certificate_ends_at IS NULL`,
		store.Millis(n.CertificateEndsAt), string(n.ID), n.Certificate)
	return err
}
