package allocation_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

// auto are mappings without host ports for these ports inside.
func auto(inside ...uint16) []allocation.Mapping {
	out := mappings(inside...)
	for n := range out {
		out[n].Host = 0
	}
	return out
}

func (b *bundle) claimAll(who int, ip string, ports ...allocation.Mapping) (hosts []uint16, err error) {
	err = b.db.Write(context.Background(), func(tx *store.Tx) error {
		got, err := b.ports.Claim(context.Background(), tx, allocation.ClaimRequest{Node: "a", Instance: instance(who), IP: ip, Ports: ports})
		for _, a := range got {
			hosts = append(hosts, a.Port)
		}
		return err
	})
	return hosts, err
}

func (b *bundle) gets(who int, want []uint16, ports ...allocation.Mapping) {
	b.t.Helper()
	if got, err := b.claimAll(who, "0.0.0.0", ports...); err != nil || !slices.Equal(got, want) {
		b.t.Errorf("%v, %v; want %v", got, err, want)
	}
}

func TestPortsOfThePoolAreChosen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add("0.0.0.0", "1003", "1000-1001", "1005")
	b.gets(1, []uint16{1000}, auto(80)...)
	// Those that are named in the same call are not drawn, wherever they stand.
	mixed := auto(80, 81)
	mixed = append(mixed, allocation.Mapping{Host: 1001, Container: 82})
	b.gets(2, []uint16{1003, 1005, 1001}, mixed...)
	_, err := b.claimAll(3, "0.0.0.0", auto(80)...)
	if !problem.Is(err, problem.InsufficientResources) || problem.From(err).Message != "the node's pool has no free port left; add ports to it, or name a host port" {
		t.Errorf("%v", err)
	}
	b.want("0.0.0.0:1000 pooled 1>80*", "0.0.0.0:1001 pooled 2>82", "0.0.0.0:1003 pooled 2>80*", "0.0.0.0:1005 pooled 2>81")
}

// A port that somebody holds on an overlapping address is not drawn, and no
// instance gets one number twice.
func TestDrawnPortsDoNotOverlap(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add("10.0.0.1", "1000-1002")
	b.add("10.0.0.2", "1000-1001")
	if _, err := b.claim(t.Context(), 1, "10.0.0.1", 1000); err != nil { // 10.0.0.2:1000 stays free
		t.Fatal(err)
	}
	b.gets(2, []uint16{1000, 1001, 1002}, auto(80, 81, 82)...)
	b.gets(3, []uint16{1001}, auto(80)...)
	_, err := b.claimAll(4, "0.0.0.0", auto(80)...)
	if !problem.Is(err, problem.InsufficientResources) {
		t.Errorf("%v", err)
	}
	b.want("10.0.0.1:1000 pooled 1>1000*", "10.0.0.2:1000 pooled 2>80*", "10.0.0.1:1001 pooled 2>81", "10.0.0.2:1001 pooled 3>80*", "10.0.0.1:1002 pooled 2>82")
}

func TestOneAddressIsTakenExactly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add("10.0.0.1", "1000")
	on := func(ip string, port uint16) allocation.Mapping {
		return allocation.Mapping{Host: port, Container: 80, Primary: true, IP: ip}
	}
	b.gets(1, []uint16{1000}, on("10.0.0.2", 1000)) // not the pool's, which is on another address
	b.gets(2, []uint16{1000}, on("10.0.0.1", 1000))
	for _, ip := range []string{"10.0.0.1", "0.0.0.0", "::"} {
		if _, err := b.claimAll(3, "10.0.0.9", on(ip, 1000)); !problem.Is(err, problem.Conflict) {
			t.Errorf("%s: %v", ip, err)
		}
	}
	b.gets(4, []uint16{1000}, on("10.0.0.3", 1000))
	b.want("10.0.0.1:1000 pooled 2>80*", "10.0.0.2:1000 1>80*", "10.0.0.3:1000 4>80*")
}

// A change that leaves the host port open keeps the one that is there.
func TestReplaceKeepsOpenPorts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add("0.0.0.0", "1000-1003")
	b.gets(1, []uint16{1000, 5000}, allocation.Mapping{Container: 80, Primary: true}, allocation.Mapping{Host: 5000, Container: 81})
	replace := func(want []uint16, ports ...allocation.Mapping) {
		t.Helper()
		b.write(func(tx *store.Tx) error {
			got, err := b.ports.Replace(t.Context(), tx, allocation.ClaimRequest{Node: "a", Instance: instance(1), IP: "0.0.0.0", Ports: ports})
			var hosts []uint16
			for _, a := range got {
				hosts = append(hosts, a.Port)
			}
			if !slices.Equal(hosts, want) {
				t.Errorf("%v, want %v", hosts, want)
			}
			return err
		})
	}
	replace([]uint16{5000, 1001, 1000}, allocation.Mapping{Container: 81, Primary: true}, allocation.Mapping{Container: 82}, allocation.Mapping{Container: 80})
	replace([]uint16{1002, 1000}, allocation.Mapping{Host: 1002, Container: 80, Primary: true}, allocation.Mapping{Container: 80})
	replace([]uint16{1000}, allocation.Mapping{Container: 99, Primary: true})
	b.want("0.0.0.0:1000 pooled 1>99*", "0.0.0.0:1001 pooled", "0.0.0.0:1002 pooled", "0.0.0.0:1003 pooled")
}

var errTakenBack = errors.New("taken back")

// What Fits says is what Claim does, whatever the pool and the holders.
func TestFitsAgreesWithClaim(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rng := rand.New(rand.NewPCG(7, 7))
	ips := []string{"0.0.0.0", "10.0.0.1", "10.0.0.2"}
	fine, refused := 0, 0
	for round := range 400 {
		ip := ips[rng.IntN(3)]
		if rng.IntN(3) == 0 {
			_, _ = b.ports.Add(t.Context(), admin, "a", ip, []string{fmt.Sprint(1000 + rng.IntN(8))})
		}
		var ports []allocation.Mapping
		for n := range 1 + rng.IntN(3) {
			m := allocation.Mapping{Container: uint16(80 + n), Primary: n == 0}
			if rng.IntN(2) == 0 {
				m.Host = uint16(1000 + rng.IntN(8))
			}
			if m.Host != 0 && rng.IntN(3) == 0 {
				m.IP = ips[rng.IntN(3)]
			}
			ports = append(ports, m)
		}
		if allocation.Check(ports) != nil {
			continue
		}
		host := node.Node{ID: "a", BindAddress: ip}
		fits, err := allocation.Free(t.Context(), b.db.Snapshot(), host, ports)
		if err != nil {
			t.Fatal(err)
		}
		keep := rng.IntN(4) == 0
		err = b.db.Write(t.Context(), func(tx *store.Tx) error {
			_, err := b.ports.Claim(t.Context(), tx, allocation.ClaimRequest{Node: "a", Instance: instance(round % 64), IP: ip, Ports: ports})
			if err == nil && !keep {
				return errTakenBack
			}
			return err
		})
		claimed := err == nil || errors.Is(err, errTakenBack)
		if claimed != fits {
			t.Fatalf("round %d: Fits says %v, Claim %v, of %+v on %s with %v", round, fits, err, ports, ip, b.table())
		}
		if claimed {
			fine++
		} else {
			refused++
		}
		if rng.IntN(6) == 0 {
			b.write(func(tx *store.Tx) error { return b.ports.ReleaseAll(t.Context(), tx, instance(rng.IntN(64))) })
		}
	}
	if fine < 50 || refused < 50 {
		t.Errorf("%d fine and %d refused: nothing was compared", fine, refused)
	}
}

// Many draw at once: each gets its own, and no more than there are.
func TestDrawnAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.add("0.0.0.0", "1000-1029")
	var wait sync.WaitGroup
	got := make(chan uint16, 60)
	for n := range 60 {
		wait.Go(func() {
			switch hosts, err := b.claimAll(n, "0.0.0.0", auto(80)...); {
			case err == nil:
				got <- hosts[0]
			case !problem.Is(err, problem.InsufficientResources):
				t.Error(err)
			}
		})
	}
	wait.Wait()
	close(got)
	seen := map[uint16]bool{}
	for p := range got {
		if seen[p] || p < 1000 || p > 1029 {
			t.Errorf("port %d was given twice, or is not of the pool", p)
		}
		seen[p] = true
	}
	if len(seen) != 30 {
		t.Errorf("%d of 30 ports were given", len(seen))
	}
}
