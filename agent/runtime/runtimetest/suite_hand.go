package runtimetest

import (
	"net"
	"slices"
	"strconv"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
)

func handTests() map[string]func(*testing.T, Harness) {
	return map[string]func(*testing.T, Harness){
		"changed and repaired while it runs": repairRunning,
		"changed and repaired while down":    repairDown,
		"repaired where nothing is wrong":    repairNothing,
		"given other limits":                 repairLimits,
		"paused":                             repairPaused,
		"off its network":                    repairNetwork,
		"on a network more":                  repairNetworkMore,
		"off a network that is gone":         repairNetworkGone,
		"its name is taken":                  repairNameTaken,
		"specs that are refused":             repairRefused,
		"signals are told":                   signalsTold,
		"stopped and started":                handStop,
	}
}

// altered changes all that can be changed in place.
func (h Harness) altered(t testing.TB, id runtime.ContainerID, name string) runtime.Container {
	t.Helper()
	h.Hand.Rename(t, id, name)
	h.Hand.Limit(t, id, 96<<20, 5e8, -1)
	h.Hand.Restarts(t, id)
	c := inspect(t, h.Engine, id)
	if c.Name != name || c.MemoryBytes != 96<<20 || c.NanoCPUs != 5e8 || c.PidsLimit != -1 || !c.Restarts {
		t.Fatalf("changed by hand, it is %+v", c)
	}
	glanced(t, h.Engine)
	return c
}

func repairRunning(t *testing.T, h Harness) {
	spec := h.spec("idle")
	id := start(t, h.Engine, spec)
	before := inspect(t, h.Engine, id)
	h.altered(t, id, spec.Name+"-x")
	must(t, "Repair", h.Engine.Repair(t.Context(), id, spec))
	if after := inspect(t, h.Engine, id); after != before {
		t.Fatalf("repaired, it is\n%+v, was\n%+v", after, before)
	}
}

func repairDown(t *testing.T, h Harness) {
	spec := h.spec("exit", "3")
	id := start(t, h.Engine, spec)
	before := ended(t, h.Engine, id)
	h.Hand.Rename(t, id, spec.Name+"-x")
	h.Hand.Limit(t, id, 96<<20, 5e8, -1)
	must(t, "Repair", h.Engine.Repair(t.Context(), id, spec))
	if after := inspect(t, h.Engine, id); after != before {
		t.Fatalf("repaired, it is\n%+v, was\n%+v", after, before)
	}
}

func repairNothing(t *testing.T, h Harness) {
	network := Network(t, h.Engine)
	spec := h.spec("idle")
	spec.Network, spec.PidsLimit = network.Name, 0
	id := create(t, h.Engine, spec)
	for range 2 {
		before := inspect(t, h.Engine, id)
		s := watch(t, h.Engine)
		must(t, "Repair", h.Engine.Repair(t.Context(), id, spec))
		must(t, "Repair again", h.Engine.Repair(t.Context(), id, spec))
		if after := inspect(t, h.Engine, id); after != before {
			t.Fatalf("repaired, it is\n%+v, was\n%+v", after, before)
		}
		s.mu.Lock()
		for _, c := range s.changes {
			t.Errorf("a repair of nothing changed something: %+v", c)
		}
		s.mu.Unlock()
		must(t, "Start", h.Engine.Start(t.Context(), id))
	}
}

func repairPaused(t *testing.T, h Harness) {
	spec := h.spec("idle")
	id := h.ready(t, spec)
	before := inspect(t, h.Engine, id)
	h.Hand.Pause(t, id)
	if c := inspect(t, h.Engine, id); c.Status != runtime.Paused {
		t.Fatalf("paused, it is %s", c.Status)
	}
	glanced(t, h.Engine)
	must(t, "Repair", h.Engine.Repair(t.Context(), id, spec))
	if after := inspect(t, h.Engine, id); after != before {
		t.Fatalf("repaired, it is\n%+v, was\n%+v", after, before)
	}
	h.stopped(t, id, runtime.StopSpec{Command: "stop", Grace: grace}, 0) // it listens again
}

// repairNetwork: what is put on its network again is reached by its port again.
func repairNetwork(t *testing.T, h Harness) {
	network := Network(t, h.Engine)
	spec, port := h.spec("serve", "8080"), FreePort(t)
	spec.Network = network.Name
	spec.Ports = Publish(port, 8080, runtime.TCP, runtime.UDP)
	id := start(t, h.Engine, spec)
	before := inspect(t, h.Engine, id)
	if before.Network != network.Name {
		t.Fatalf("it is on %q, want %q", before.Network, network.Name)
	}
	h.Hand.Leave(t, id, network.Name)
	if c := inspect(t, h.Engine, id); c.Network != "" {
		t.Fatalf("off its network, it is on %q", c.Network)
	}
	glanced(t, h.Engine)
	must(t, "Repair", h.Engine.Repair(t.Context(), id, spec))
	if after := inspect(t, h.Engine, id); after != before {
		t.Fatalf("repaired, it is\n%+v, was\n%+v", after, before)
	}
	glanced(t, h.Engine)
	if h.Address != "" {
		address := net.JoinHostPort(h.Address, strconv.Itoa(int(port)))
		Echoes(t, "tcp", address)
		Echoes(t, "udp", address)
	}
}

func repairNetworkMore(t *testing.T, h Harness) {
	network, other := Network(t, h.Engine), Network(t, h.Engine)
	spec := h.spec("idle")
	spec.Network = network.Name
	id := start(t, h.Engine, spec)
	before := inspect(t, h.Engine, id)
	h.Hand.Join(t, id, other.Name)
	names := []string{network.Name, other.Name}
	slices.Sort(names)
	if c := inspect(t, h.Engine, id); c.Network != names[0]+","+names[1] {
		t.Fatalf("on two networks, it is on %q", c.Network)
	}
	glanced(t, h.Engine)
	must(t, "Repair", h.Engine.Repair(t.Context(), id, spec))
	if after := inspect(t, h.Engine, id); after != before {
		t.Fatalf("repaired, it is\n%+v, was\n%+v", after, before)
	}
}

func repairNetworkGone(t *testing.T, h Harness) {
	network := Network(t, h.Engine)
	spec := h.spec("idle")
	spec.Network = network.Name
	id := start(t, h.Engine, spec)
	spec.Network = DrawNetwork().Name // one that was never made
	refused(t, "Repair", h.Engine.Repair(t.Context(), id, spec), runtime.Unknown)
	if c := inspect(t, h.Engine, id); c.Status != runtime.Running {
		t.Fatalf("it is %s", c.Status)
	}
}

func repairNameTaken(t *testing.T, h Harness) {
	spec := h.spec("idle")
	id := start(t, h.Engine, spec)
	h.altered(t, id, spec.Name+"-x")
	other := h.spec("idle")
	other.Name = spec.Name
	create(t, h.Engine, other)
	refused(t, "Repair", h.Engine.Repair(t.Context(), id, spec), runtime.Conflict)
	if c := inspect(t, h.Engine, id); c.Name != spec.Name+"-x" || c.MemoryBytes != spec.MemoryBytes || c.Status != runtime.Running {
		t.Fatalf("all but its name should be right: %+v", c)
	}
}

func repairRefused(t *testing.T, h Harness) {
	spec := h.spec("idle")
	id := start(t, h.Engine, spec)
	before := inspect(t, h.Engine, id)
	for _, change := range []func(*runtime.ContainerSpec){
		func(s *runtime.ContainerSpec) { s.Name = "../x" },
		func(s *runtime.ContainerSpec) { s.MemoryBytes = 0 },
		func(s *runtime.ContainerSpec) { s.PidsLimit = -1 },
		func(s *runtime.ContainerSpec) { s.NanoCPUs = 1e6 * 1e9 }, // more than any machine has
	} {
		bad := spec
		change(&bad)
		refused(t, "Repair", h.Engine.Repair(t.Context(), id, bad), runtime.InvalidSpec)
	}
	if after := inspect(t, h.Engine, id); after != before {
		t.Fatalf("it became %+v", after)
	}
}

// signalsTold: each signal is told before what comes of it, with its number and
// a time inside the container's life.
func signalsTold(t *testing.T, h Harness) {
	s := watch(t, h.Engine)
	id := h.ready(t, h.spec("stubborn"))
	h.Hand.Signal(t, id, 15)
	h.Hand.Signal(t, id, 9)
	c := ended(t, h.Engine, id)
	Eventually(t, "its end to be told", func() bool { return slices.Contains(s.of(id), runtime.Died) })
	want := []runtime.ChangeKind{runtime.Started, runtime.Signalled, runtime.Signalled, runtime.Died}
	if got := s.of(id); !slices.Equal(got, want) {
		t.Fatalf("the changes were %v, want %v", got, want)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var signals []int
	for _, change := range s.changes {
		if change.Kind != runtime.Signalled {
			continue
		}
		signals = append(signals, change.Signal)
		if change.At.Before(c.StartedAt) || change.At.After(c.FinishedAt) && change.Signal != 9 {
			t.Errorf("a signal of %s, in a life from %s to %s", change.At, c.StartedAt, c.FinishedAt)
		}
	}
	if !slices.Equal(signals, []int{15, 9}) {
		t.Errorf("the signals were %v", signals)
	}
}

// handStop: an end by hand shows a signal before it.
func handStop(t *testing.T, h Harness) {
	s := watch(t, h.Engine)
	id := h.ready(t, h.spec("idle"))
	h.Hand.Stop(t, id)
	if c := inspect(t, h.Engine, id); c.Status != runtime.Exited || c.ExitCode != 0 {
		t.Fatalf("stopped by hand, it is %+v", c)
	}
	h.Hand.Start(t, id)
	want := []runtime.ChangeKind{runtime.Started, runtime.Signalled, runtime.Died, runtime.Started}
	Eventually(t, "its second start to be told", func() bool { return len(s.of(id)) >= len(want) })
	if got := s.of(id); !slices.Equal(got, want) {
		t.Fatalf("the changes were %v, want %v", got, want)
	}
	h.Hand.Remove(t, id)
	Eventually(t, "its removal to be told", func() bool { return slices.Contains(s.of(id), runtime.Removed) })
	nothing(t, h.Engine)
}

// repairLimits: other limits than it was made with are in place while it runs,
// and while it is down.
func repairLimits(t *testing.T, h Harness) {
	spec := h.spec("idle")
	id := h.ready(t, spec)
	before := inspect(t, h.Engine, id)
	for _, up := range []bool{true, false} {
		for _, change := range []struct {
			memory, cpus, pids int64
		}{{128 << 20, 5e8, 32}, {48 << 20, 2e8, 100}} {
			spec.MemoryBytes, spec.NanoCPUs, spec.PidsLimit = change.memory, change.cpus, change.pids
			must(t, "Repair", h.Engine.Repair(t.Context(), id, spec))
			want := before
			want.MemoryBytes, want.NanoCPUs, want.PidsLimit = change.memory, change.cpus, change.pids
			if after := inspect(t, h.Engine, id); after != want {
				t.Fatalf("with other limits, it is\n%+v, want\n%+v", after, want)
			}
		}
		if up {
			must(t, "Kill", h.Engine.Kill(t.Context(), id))
			before = inspect(t, h.Engine, id)
		}
	}
}
