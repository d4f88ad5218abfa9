package instance

import (
	"net/netip"
	"slices"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// InstanceNetworkBody is what an instance may reach beside the internet. By default
// it is nothing: not its node, no other instance, no private range, no metadata
// service.
type InstanceNetworkBody struct {
	Allow     []string `json:"allow,omitempty" maxItems:"64" doc:"Networks that it may reach although they are private, such as 10.1.0.0/16"`
	Instances bool     `json:"instances,omitempty" doc:"It may reach the ports of those instances of its node that say so too, at the node's address"`
	Offline   bool     `json:"offline,omitempty" doc:"Nothing is let out but to allow; what comes in by its ports is answered"`
	OutBytes  int64    `json:"out_bytes,omitempty" minimum:"0" maximum:"1000000000000" doc:"Bytes a second that it may send; 0 is no limit"`
	InBytes   int64    `json:"in_bytes,omitempty" minimum:"0" maximum:"1000000000000" doc:"Bytes a second that it may receive; 0 is no limit"`
}

// InstanceIOBody is how fast an instance may use its volume's disk; 0 is no limit.
type InstanceIOBody struct {
	ReadBytes  int64 `json:"read_bytes,omitempty" minimum:"0" maximum:"1000000000000" doc:"Bytes a second"`
	WriteBytes int64 `json:"write_bytes,omitempty" minimum:"0" maximum:"1000000000000" doc:"Bytes a second"`
	ReadOps    int64 `json:"read_ops,omitempty" minimum:"0" maximum:"10000000" doc:"Operations a second"`
	WriteOps   int64 `json:"write_ops,omitempty" minimum:"0" maximum:"10000000" doc:"Operations a second"`
}

// The least that is any use: slower, nothing gets through at all.
const (
	minRate = 8 << 10 // bytes a second
	minOps  = 10
)

// reach reads the body: networks become canonical, so that the same is no change.
func (b InstanceNetworkBody) reach() (wire.Network, error) {
	n := wire.Network{Instances: b.Instances, Offline: b.Offline, OutBytes: b.OutBytes, InBytes: b.InBytes}
	for _, text := range b.Allow {
		p, err := netip.ParsePrefix(text)
		if a, bad := netip.ParseAddr(text); bad == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return n, problem.Invalid("network.allow", "%.60q is no network such as 10.1.0.0/16", text)
		}
		n.Allow = append(n.Allow, p.Masked().String())
	}
	slices.Sort(n.Allow)
	n.Allow = slices.Compact(n.Allow)
	for field, rate := range map[string]int64{"network.out_bytes": n.OutBytes, "network.in_bytes": n.InBytes} {
		if rate != 0 && rate < minRate {
			return n, problem.Invalid(field, "at least %d, or 0 for no limit", minRate)
		}
	}
	return n, nil
}

// hold writes the speeds into the limits.
func (b InstanceIOBody) hold(l *wire.Limits) error {
	for _, f := range []struct {
		name         string
		value, least int64
	}{
		{"io.read_bytes", b.ReadBytes, minRate}, {"io.write_bytes", b.WriteBytes, minRate}, {"io.read_ops", b.ReadOps, minOps}, {"io.write_ops", b.WriteOps, minOps},
	} {
		if f.value != 0 && f.value < f.least {
			return problem.Invalid(f.name, "at least %d, or 0 for no limit", f.least)
		}
	}
	l.ReadBytes, l.WriteBytes, l.ReadOps, l.WriteOps = b.ReadBytes, b.WriteBytes, b.ReadOps, b.WriteOps
	return nil
}

// network and io show what is set.
func (i Instance) network() InstanceNetworkBody {
	n := i.Spec.Network
	return InstanceNetworkBody{Allow: n.Allow, Instances: n.Instances, Offline: n.Offline, OutBytes: n.OutBytes, InBytes: n.InBytes}
}

func (i Instance) io() InstanceIOBody {
	l := i.Spec.Limits
	return InstanceIOBody{ReadBytes: l.ReadBytes, WriteBytes: l.WriteBytes, ReadOps: l.ReadOps, WriteOps: l.WriteOps}
}

// setReach takes over what a patch says of network and disk speed. It changes
// nothing of the container.
func (i *Instance) setReach(network *InstanceNetworkBody, io *InstanceIOBody) (err error) {
	if network != nil {
		if i.Spec.Network, err = network.reach(); err != nil {
			return err
		}
	}
	if io != nil {
		return io.hold(&i.Spec.Limits)
	}
	return nil
}
