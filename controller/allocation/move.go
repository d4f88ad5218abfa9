package allocation

import (
	"context"
	"math"

	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// ReleaseOn gives back what an instance holds on one node, in tx: while it moves
// it holds ports of two.
func (s *Service) ReleaseOn(ctx context.Context, tx *store.Tx, instance ident.Instance, node ident.Node) error {
	return freeOn(ctx, tx, instance, node)
}

// HeldOn gives what an instance holds on one node, in the order in which it asked.
func (s *Service) HeldOn(ctx context.Context, q store.Querier, instance ident.Instance, node ident.Node) ([]Allocation, error) {
	return ofOn(ctx, q, instance, node)
}

// Reassign gives the ports with those exchanged that somebody holds on the node:
// for the lowest free ones of its pool, or else for the next higher one that
// nobody holds. Without any it is a CONFLICT.
func (s *Service) Reassign(ctx context.Context, q store.Querier, n node.Node, ports []Mapping) ([]Mapping, error) {
	there, err := onNode(ctx, q, n.ID)
	if err != nil {
		return nil, err
	}
	used := hostsOf(ports)
	pool, err := freeInPool(ctx, q, n.ID, used, len(ports))
	if err != nil {
		return nil, err
	}
	taken := map[uint16]bool{}
	for _, p := range used {
		taken[p] = true
	}
	out := append([]Mapping(nil), ports...)
	for i, p := range out {
		if p.Host == 0 || claimable(there[p.Host], n.BindAddress) {
			continue
		}
		next := uint16(0)
		if len(pool) > 0 {
			next, pool = pool[0].Port, pool[1:]
		}
		for above := int(p.Host) + 1; next == 0 && above <= math.MaxUint16; above++ {
			if port := uint16(above); !taken[port] && claimable(there[port], n.BindAddress) {
				next = port
			}
		}
		if next == 0 {
			return nil, problem.New(problem.Conflict, "node %s has no free port to give for %d", n.Name, p.Host)
		}
		taken[next], out[i].Host, out[i].IP = true, next, ""
	}
	return out, nil
}

// claimable says whether Claim would find or make a port of which these are the
// allocations.
func claimable(there []Allocation, ip string) bool {
	found, holder := choose(there, "", ip, ip)
	return found != nil || holder == nil
}
