package allocation

import (
	"context"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// Reserve notes, in tx, which ports of a node a stray uses, in place of those that
// were noted before: nobody is given them. An instance that has one of them
// already keeps it.
func (s *Service) Reserve(ctx context.Context, tx *store.Tx, node ident.Node, stray ident.Instance, ports []wire.Port) error {
	if err := unreserve(ctx, tx, node, stray); err != nil {
		return err
	}
	for _, p := range ports {
		if err := reserve(ctx, tx, node, stray, p.IP, p.Host); err != nil {
			return err
		}
	}
	return nil
}

// Unreserve forgets, in tx, the ports of a stray that is none any more.
func (s *Service) Unreserve(ctx context.Context, tx *store.Tx, node ident.Node, stray ident.Instance) error {
	return unreserve(ctx, tx, node, stray)
}
