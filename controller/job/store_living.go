package job

import (
	"context"
	"errors"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// Living gives the oldest living job of a kind, if there is one; a node that is
// not "" narrows it to that node's.
func Living(ctx context.Context, q store.Querier, kind Kind, node ident.Node) (Job, bool, error) {
	j, err := scan(q.QueryRowContext(ctx, queryLiving, string(kind), string(node)).Scan)
	if errors.Is(err, store.ErrNoRows) {
		return j, false, nil
	}
	return j, err == nil, err
}
