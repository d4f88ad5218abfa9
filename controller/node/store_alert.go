package node

import (
	"context"
	"encoding/json"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// announce notes that a node is told to be online or offline, and says whether
// that is news: what was told last is known across restarts. A node of which
// nothing was told yet is not told to be offline.
func announce(ctx context.Context, tx *store.Tx, id ident.Node, now State) (news bool, err error) {
	res, err := tx.ExecContext(ctx, `UPDATE nodes SET announced = ?1 WHERE id = ?2 AND announced <> ?1 AND (announced <> '' OR ?1 = 'online')`,
		string(now), string(id))
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// announcedOnline gives the nodes that are let in and were told to be online last.
func announcedOnline(ctx context.Context, q store.Querier) ([]ident.Node, error) {
	return store.Collect(ctx, q, func(row func(...any) error) (id ident.Node, err error) { return id, row(&id) },
		`SELECT id FROM nodes WHERE announced = 'online' AND certificate <> ''`)
}

// saveContacts moves the last contacts on, never back.
func saveContacts(ctx context.Context, tx *store.Tx, heard map[ident.Node]int64) error {
	text, err := json.Marshal(heard)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE nodes SET last_seen_at = heard.value FROM json_each(?) AS heard
		WHERE nodes.id = heard.key AND COALESCE(nodes.last_seen_at, 0) < heard.value`, string(text))
	return err
}
