package egress

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Options are what a Firewall is made with.
type Options struct {
	Node   ident.Node
	Bridge string // the device of Berth's network
	// Resolvers gives the files that name the node's resolvers; nil is the usual ones.
	Resolvers []string
	Log       *slog.Logger
}

// Firewall holds the instances of a node. Its methods are safe for concurrent use.
type Firewall struct {
	options Options
	table   string

	mu    sync.Mutex
	held  map[ident.Instance]held
	state wire.Firewall
}

// held is what the kernel was given for an instance.
type held struct {
	network wire.Network
	ports   []uint16
}

// MAC is the hardware address of an instance's container: locally administered,
// and made of its id.
func MAC(id ident.Instance) net.HardwareAddr {
	mac := net.HardwareAddr{0x02, 0xbe, 0, 0, 0, 0}
	if _, err := hex.Decode(mac[2:], []byte(id)); err != nil || !id.Valid() {
		return nil
	}
	return mac
}

// Open makes the node's table, or takes over the one that is there. It never
// fails: State says whether it works.
func Open(o Options) *Firewall {
	if o.Resolvers == nil {
		o.Resolvers = []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"}
	}
	f := &Firewall{options: o, table: tableOf(o.Node), held: map[ident.Instance]held{}}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note(f.base())
	return f
}

func tableOf(node ident.Node) string { return "berth-" + string(node) }

// MAC is the hardware address of an instance's container as text; "" for an id of
// the wrong form.
func (f *Firewall) MAC(id ident.Instance) string { return MAC(id).String() }

// State says whether what instances may reach can be held here.
func (f *Firewall) State() wire.Firewall {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state
}

// note keeps whether the kernel took what it was given; the caller holds mu.
func (f *Firewall) note(err error) {
	if err == nil {
		f.state = wire.Firewall{Works: true}
		return
	}
	f.state = wire.Firewall{Message: fmt.Sprintf("the kernel's nftables can't be used (%v): run the agent as root on a kernel with nf_tables", err)}
}

// Hold makes the rules of an instance those of network, at once and whether its
// container runs or not. ports are its published ones on the node: other
// instances reach them when both say Instances. The error is a *problem.Problem:
// this node can't hold it.
func (f *Firewall) Hold(id ident.Instance, network wire.Network, ports []wire.Port) error {
	if MAC(id) == nil {
		return problem.Invalid("instance", "must be 8 lower-case hex characters")
	}
	allow, err := Prefixes(network.Allow)
	if err != nil {
		return err
	}
	want := wanted(network, ports)
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := net.InterfaceByName(f.options.Bridge); err != nil {
		return problem.New(problem.Conflict, "what instances reach can't be limited: the engine's network %s is not on this machine", f.options.Bridge)
	}
	before, there := f.held[id]
	if there && before.same(want) {
		return nil
	}
	if !f.state.Works { // it may by now
		if f.note(f.base()); !f.state.Works {
			return problem.New(problem.Conflict, "what instances reach can't be limited: %s", f.state.Message)
		}
	}
	err = f.write(id, allow, before, want)
	if err != nil { // what all share may be gone
		if err = f.base(); err == nil {
			err = f.write(id, allow, held{}, want)
		}
	}
	if err != nil {
		delete(f.held, id) // nobody knows what stands
		f.options.Log.Warn("the firewall's rules can't be written", "instance", string(id), "error", err)
		return problem.New(problem.Conflict, "what the instance reaches can't be limited: %s", err).Because(err)
	}
	f.held[id] = want
	return nil
}

func wanted(network wire.Network, ports []wire.Port) held {
	h := held{network: network}
	h.network.Allow = slices.Clone(network.Allow)
	for _, p := range ports {
		h.ports = append(h.ports, p.Host)
	}
	return h
}

func (h held) same(other held) bool {
	a, b := h.network, other.network
	return slices.Equal(a.Allow, b.Allow) && a.Instances == b.Instances && a.Offline == b.Offline && a.OutBytes == b.OutBytes && a.InBytes == b.InBytes &&
		slices.Equal(h.ports, other.ports)
}

// open are the ports at which other instances reach this one.
func (h held) open() []uint16 {
	if !h.network.Instances {
		return nil
	}
	return slices.Clone(h.ports)
}

// opens are the ports that are open for others than id; the caller holds mu.
func (f *Firewall) opens(id ident.Instance) map[uint16]bool {
	list := map[uint16]bool{}
	for other, h := range f.held {
		if other == id {
			continue
		}
		for _, p := range h.open() {
			list[p] = true
		}
	}
	return list
}

// Release forgets an instance whose container is gone.
func (f *Firewall) Release(id ident.Instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.release(id)
}

// releaseIdle is Release, unless the instance came back meanwhile.
func (f *Firewall) releaseIdle(id ident.Instance) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, back := f.held[id]; !back {
		f.release(id)
	}
}

// release needs the lock.
func (f *Firewall) release(id ident.Instance) {
	before := f.held[id]
	delete(f.held, id)
	if MAC(id) == nil || !f.state.Works {
		return
	}
	if err := f.erase(id, before); err != nil {
		f.options.Log.Debug("the rules of an instance that is gone stay", "instance", string(id), "error", err)
	}
}

// Prefixes reads CIDRs, and single addresses as such; what is none is a
// VALIDATION_ERROR.
func Prefixes(texts []string) ([]netip.Prefix, error) {
	list := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, bad := netip.ParseAddr(text)
			if bad != nil || a.Zone() != "" {
				return nil, problem.Invalid("network.allow", "%.60q is no CIDR such as 10.1.0.0/16", text)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if p.Addr().Is4In6() { // as the kernel never sees it
			const front = 96
			if p.Bits() < front {
				return nil, problem.Invalid("network.allow", "%.60q is no CIDR such as 10.1.0.0/16", text)
			}
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-front)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}
