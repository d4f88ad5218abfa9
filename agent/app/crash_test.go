package app

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/agent/supervisor"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// crash kills the program of a container, and gives the container as it was.
func (n *node) crash(id ident.Instance) runtime.Container {
	n.t.Helper()
	c := n.of(id)
	var children []int
	runtimetest.Eventually(n.t, "the program, and no others", func() bool {
		children = runtimetest.Children(n.t, c.Pid)
		return len(children) == 1
	})
	if err := syscall.Kill(children[0], syscall.SIGKILL); err != nil {
		n.t.Fatal(err)
	}
	return c
}

// needsProgram skips a test where agents are built without the first process of
// containers, which is none of the tests' that have to run.
func needsProgram(t *testing.T) {
	t.Helper()
	if supervisor.Program() != nil {
		return
	}
	if os.Getenv(runtimetest.EnvDocker) == "required" {
		t.Fatal("the first process of containers is not built: deploy/supervisor.sh does that")
	}
	t.Skip("the first process of containers is not built: deploy/supervisor.sh does that")
}

// TestCrashWithADiskThatWaits is about a volume that is to be changed once nothing has
// it: a crash is such a moment, and its container isn't kept for the next life.
func TestCrashWithADiskThatWaits(t *testing.T) {
	t.Parallel()
	needsProgram(t)
	n := setup(t)
	n.config.Volumes = string(wire.VolumeImage)
	a := n.run(n.config, nil)
	id := ident.NewInstance()
	s := spec(id, 1, n.probe, runtimetest.FreePort(t))
	s.Image.Command, s.Limits.DiskMiB = []string{"serve", "8080"}, 96
	a.apply(s)
	if st := a.settled(id, 1); st.Actual != wire.ActualRunning || st.Disk == nil || st.Disk.LimitBytes != 96<<20 {
		t.Fatalf("deployed: %+v, %+v, %v", st, st.Disk, st.Failure)
	}
	s.Generation, s.Limits.DiskMiB = 2, 48
	a.apply(s)
	if st := a.settled(id, 2); st.Disk == nil || st.Disk.LimitBytes != 96<<20 || st.Disk.WantBytes != 48<<20 {
		t.Fatalf("while it runs: %+v", st.Disk)
	}
	before := n.crash(id)
	a.until("the next life, with the smaller disk", func() bool {
		st := a.states[id].State
		return st.Actual == wire.ActualRunning && st.Crashes == 1 && st.Disk != nil && st.Disk.LimitBytes == 48<<20
	})
	if after := n.of(id); after.Pid == before.Pid {
		t.Errorf("before it was %+v, after it %+v", before, after)
	}
	a.remove(id, 3)
}

// TestProgramThatCrashesBeginsAgainInItsContainer is the whole way of a crash, with
// the first process that a released agent has.
func TestProgramThatCrashesBeginsAgainInItsContainer(t *testing.T) {
	t.Parallel()
	needsProgram(t)
	n := setup(t)
	a := n.run(n.config, nil)
	id, port := ident.NewInstance(), runtimetest.FreePort(t)
	s := spec(id, 1, n.probe, port)
	s.Image.Command = []string{"serve", "8080"}
	a.apply(s)
	first := a.settled(id, 1)
	runtimetest.Eventually(t, "the service", func() bool { return get(port) != "" })

	if _, err := os.Stat(filepath.Join(n.config.Data, supervisorDir, "containers", string(id), "agent")); err != nil {
		t.Errorf("it has no door: %v", err)
	}

	// The first three are followed soon enough by the next life for the container that
	// they happen in, unless the machine is slow, and the fourth is not: nobody who looks
	// sees a difference.
	started := *first.StartedAt
	for crashes := 1; crashes <= 4; crashes++ {
		before := n.crash(id)
		a.until("the next life", func() bool {
			st := a.states[id].State
			if st.Actual != wire.ActualRunning || !st.StartedAt.After(started) {
				return false
			}
			started = *st.StartedAt
			return st.Crashes == crashes
		})
		if a.crashed[id] != crashes {
			t.Errorf("%d crashes were told of %d", a.crashed[id], crashes)
		}
		runtimetest.Eventually(t, "the service to be back", func() bool { return get(port) != "" })
		if after := n.of(id); after.ID != before.ID {
			t.Errorf("crash %d: before it was %+v, after it %+v", crashes, before, after)
		}
	}

	// An agent that comes back knows the life, and one that was away finds the end.
	s.Generation, s.Power.Order, s.Power.Restart = 2, 2, true // which clears the record
	a.apply(s)
	a.settled(id, 2)
	n.crash(id)
	var known time.Time
	a.until("the next life", func() bool {
		st := a.states[id].State
		if st.Actual == wire.ActualRunning && st.Crashes == 1 {
			known = *st.StartedAt
		}
		return !known.IsZero()
	})
	a.stop()
	a = n.run(n.config, nil)
	runtimetest.Eventually(t, "the same life in the inventory", func() bool {
		h := a.inventory()
		return len(h) == 1 && h[0].State.Actual == wire.ActualRunning
	})
	if h := a.inventory(); !h[0].State.StartedAt.Equal(known) {
		t.Errorf("it has run since %s, want %s", h[0].State.StartedAt, known)
	}
	a.stop()
	n.crash(id)
	runtimetest.Eventually(t, "the container to be down", func() bool { return n.of(id).Status == runtime.Exited })
	a = n.run(n.config, nil)
	runtimetest.Eventually(t, "the service to be back", func() bool { return get(port) != "" })
	a.remove(id, 3)
	n.nothingLeft(id)
}
