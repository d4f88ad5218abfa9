package allocation

import (
	"context"

	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// Fit is how ports that somebody asks for fit on a node.
type Fit struct {
	Taken []uint16 // those of them that somebody holds there
	Short int      // how many free ports the pool lacks, for those without a host port
}

// OK says whether all of them can be had.
func (f Fit) OK() bool { return len(f.Taken) == 0 && f.Short == 0 }

// Fits says what keeps a node from giving these ports, by the rule of Claim and
// without writing. Ports of which Check says that they are wrong may be anything.
func Fits(ctx context.Context, q store.Querier, n node.Node, ports []Mapping) (f Fit, err error) {
	if len(ports) == 0 {
		return f, nil
	}
	named := hostsOf(ports)
	if len(named) > 0 {
		there, err := onPorts(ctx, q, n.ID, named)
		if err != nil {
			return f, err
		}
		for _, p := range ports {
			if found, holder := choose(there[p.Host], p.IP, n.BindAddress, n.BindAddress); p.Host != 0 && found == nil && holder != nil {
				f.Taken = append(f.Taken, p.Host)
			}
		}
	}
	spare, err := spares(ctx, q, n.ID, ports)
	f.Short = len(ports) - len(named) - len(spare)
	return f, err
}

// Free says whether a node can give these ports now; see Fits.
func Free(ctx context.Context, q store.Querier, n node.Node, ports []Mapping) (bool, error) {
	f, err := Fits(ctx, q, n, ports)
	return err == nil && f.OK(), err
}

// hostsOf gives the ports of the node that are asked for by number.
func hostsOf(ports []Mapping) []uint16 {
	var out []uint16
	for _, p := range ports {
		if p.Host != 0 {
			out = append(out, p.Host)
		}
	}
	return out
}

// spares gives the free ports of the pool for the mappings without a host port,
// as many as there are, none of them one that another mapping names.
func spares(ctx context.Context, q store.Querier, id ident.Node, ports []Mapping) ([]Allocation, error) {
	named := hostsOf(ports)
	if len(named) == len(ports) {
		return nil, nil
	}
	return freeInPool(ctx, q, id, named, len(ports)-len(named))
}
