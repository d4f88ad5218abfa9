package registry

import (
	"context"
	"slices"

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

// prepare sees to it that a node knows the logins for what an order names, and
// none that were removed. A node that is away, and one that refuses them, is the
// error.
func (s *Service) prepare(ctx context.Context, to ident.Node, spec wire.Spec) error {
	known, err := s.logins(ctx)
	if err != nil || s.told.covers(to, hostsOf(spec), known, s.copies.Current(to)) {
		return err
	}
	return s.copies.Push(ctx, to)
}

// hostsOf are the registries that an order's images come from.
func hostsOf(spec wire.Spec) []string {
	var hosts []string
	if h, ok := Host(spec.Image.Reference); ok {
		hosts = append(hosts, h)
	}
	if script := spec.Install.Script; script != nil {
		if h, ok := Host(script.Image); ok && !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	return hosts
}
