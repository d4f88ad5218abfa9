package registry

import (
	"context"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// Agents is the fleet for those who give orders: a node knows the logins that an
// order needs before it gets it.
type Agents struct {
	*fleet.Fleet
	service *Service
}

// Agents wraps the fleet.
func (s *Service) Agents(f *fleet.Fleet) Agents { return Agents{Fleet: f, service: s} }

// Apply tells the node what should be, and before that the logins for it.
func (a Agents) Apply(ctx context.Context, node ident.Node, spec wire.Spec) (wire.Accepted, error) {
	if err := a.service.prepare(ctx, node, spec); err != nil {
		return wire.Accepted{}, err
	}
	return a.Fleet.Apply(ctx, node, spec)
}

// OpenIncoming announces a volume, and before that tells the logins for its image.
func (a Agents) OpenIncoming(ctx context.Context, node ident.Node, in wire.Incoming) (wire.IncomingState, error) {
	if err := a.service.prepare(ctx, node, in.Spec); err != nil {
		return wire.IncomingState{}, err
	}
	return a.Fleet.OpenIncoming(ctx, node, in)
}
