package node

import (
	"context"

	"github.com/berth-panel/berth/shared/ident"
)

// RenewNow is one look at a node's certificate.
func RenewNow(ctx context.Context, s *Service, agents Agents, id ident.Node) error {
	return s.renew(ctx, agents, id)
}
