package egress

import (
	"bufio"
	"context"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// lookEvery is how often the tables are looked after.
const lookEvery = 20 * time.Second

// Run looks after the tables until ctx ends: what somebody flushed is made again,
// and changed resolvers are taken over.
func (f *Firewall) Run(ctx context.Context) {
	last := f.resolvers()
	for {
		timer := time.NewTimer(lookEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		now := f.resolvers()
		f.Look(!slices.Equal(now, last))
		last = now
	}
}

// Look makes the tables again when they are gone; anew does so in any case.
func (f *Firewall) Look(anew bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stands, err := f.stands()
	if err != nil || (stands && !anew) {
		return
	}
	if f.note(f.base()); !f.state.Works || stands {
		return
	}
	f.options.Log.Warn("the firewall's rules were taken away by somebody; they are made again")
	for id, h := range f.held {
		allow, err := Prefixes(h.network.Allow)
		if err == nil {
			err = f.write(id, allow, held{}, h)
		}
		if err != nil {
			f.options.Log.Warn("the firewall's rules can't be written", "instance", string(id), "error", err)
			delete(f.held, id)
		}
	}
}

// Keep forgets all instances that the node doesn't hold any more, and closes the
// ports that none of the others wants open; called after the start, with
// those that it holds, and whenever the engine is back.
func (f *Firewall) Keep(holds func(ident.Instance) (network wire.Network, ports []wire.Port, held bool)) {
	open := map[uint16]bool{}
	for _, id := range f.known() {
		network, ports, ours := holds(id)
		if !ours {
			f.releaseIdle(id)
		}
		for _, p := range wanted(network, ports).open() {
			open[p] = true
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	maps.Copy(open, f.opens(""))
	if err := f.closeBut(open); err != nil {
		f.options.Log.Debug("ports of instances that are gone stay open to others", "error", err)
	}
}

// resolvers are the addresses that containers look names up at. A resolver on the
// node's own loopback is asked by the engine itself.
func (f *Firewall) resolvers() []netip.Addr {
	var list []netip.Addr
	for _, name := range f.options.Resolvers {
		file, err := os.Open(name)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			words := strings.Fields(lines.Text())
			if len(words) < 2 || words[0] != "nameserver" {
				continue
			}
			if a, err := netip.ParseAddr(words[1]); err == nil && !a.IsLoopback() && a.Zone() == "" && !slices.Contains(list, a.Unmap()) {
				list = append(list, a.Unmap())
			}
		}
		_ = file.Close()
	}
	return list
}
