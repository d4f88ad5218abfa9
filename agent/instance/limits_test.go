package instance

import (
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// limited is a spec with these limits and no order that is new.
func limited(generation, memory, nanoCPUs, pids int64) wire.Spec {
	s := basic(one, generation)
	s.Limits.MemoryMiB, s.Limits.NanoCPUs, s.Limits.Pids = memory, nanoCPUs, pids
	return s
}

// holds checks that the one container of before runs on, with these limits.
func (w *world) holds(before runtime.Container, memory, nanoCPUs, pids int64) {
	w.t.Helper()
	c := w.running(one)
	if c.ID != before.ID || !c.StartedAt.Equal(before.StartedAt) || c.MemoryBytes != memory<<20 || c.NanoCPUs != nanoCPUs || c.PidsLimit != pids {
		w.t.Errorf("the container is\n%+v, was\n%+v, want %d MiB, %d and %d processes", c, before, memory, nanoCPUs, pids)
	}
}

func (w *world) unheld(words string) {
	w.t.Helper()
	text := strings.Join(w.state(one).Unheld, "; ")
	if words == "" && text != "" || !strings.Contains(text, words) {
		w.t.Errorf("unheld: %q, want %q", text, words)
	}
}

func TestLimitsChangeWhereItRuns(t *testing.T) {
	t.Parallel()
	for _, drift := range []wire.Drift{wire.DriftRepair, wire.DriftReport} {
		t.Run(string(drift), func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.apply(basic(one, 1))
				box := w.running(one)
				for generation, l := range [][3]int64{2: {128, 2e9, 50}, 3: {32, 5e7, 10}, 4: {64, 5e8, 0}} {
					if generation < 2 {
						continue
					}
					s := limited(int64(generation), l[0], l[1], l[2])
					s.Drift = drift
					w.apply(s)
					if l[2] == 0 {
						l[2] = 100 // the node's own
					}
					w.holds(box, l[0], l[1], l[2])
					w.unheld("")
					w.drifted(one, "")
				}
				if w.engine.Calls(fake.Create) != 1 {
					t.Error("a container was made anew")
				}
			})
		})
	}
}

func TestLimitsOfWhatIsDown(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		s := basic(one, 1)
		s.Power.Want = wire.WantStopped
		w.apply(s)
		s = limited(2, 128, 2e9, 50)
		s.Power.Want = wire.WantStopped
		w.apply(s)
		if c := w.engine.Find(one)[0]; c.MemoryBytes != 128<<20 || c.NanoCPUs != 2e9 || c.PidsLimit != 50 || w.engine.Calls(fake.Create) != 1 {
			t.Errorf("the container is %+v", c)
		}
	})
}

// TestMemoryBelowWhatIsUsed: the run keeps it, and says so; the next one has less.
func TestMemoryBelowWhatIsUsed(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]func(w *world){
		"a restart": func(w *world) {
			s := limited(3, 32, 1e9, 0)
			s.Power = wire.Power{Want: wire.WantRunning, Order: 3, Restart: true}
			w.apply(s)
		},
		"a crash": func(w *world) { w.crash(one); w.sleep(time.Second) },
		"a restart of the agent, then a crash": func(w *world) {
			w.reboot()
			w.unheld("32 MiB")
			w.crash(one)
			w.sleep(time.Second)
		},
		"less use": func(w *world) {
			w.engine.SetUsage(w.engine.Find(one)[0].ID, runtime.Usage{MemoryBytes: 20 << 20})
			w.sleep(2 * time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.apply(basic(one, 1))
				box := w.running(one)
				w.engine.SetUsage(box.ID, runtime.Usage{MemoryBytes: 30 << 20})
				w.apply(limited(2, 32, 1e9, 0))
				w.holds(box, 64, 1e9, 100) // all but the memory
				w.unheld("its memory limit of 32 MiB holds from its next start on: it uses 30 MiB now")
				w.sleep(time.Hour)
				w.holds(box, 64, 1e9, 100)
				w.drifted(one, "")
				restart(w)
				if c := w.running(one); c.ID != box.ID || c.MemoryBytes != 32<<20 {
					t.Errorf("the container is %+v", c)
				}
				w.unheld("")
			})
		})
	}
}

// TestMemoryThatTheKernelKeeps: it was less when it was asked.
func TestMemoryThatTheKernelKeeps(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		w.engine.FailNext(fake.Repair, runtime.Fail(runtime.Unknown, nil, "device or resource busy"))
		w.apply(limited(2, 32, 1e9, 0))
		w.sleep(5 * time.Second)
		w.holds(box, 64, 1e9, 100)
		w.unheld("its memory limit of 32 MiB holds from its next start on")
		w.sleep(5 * time.Minute) // it is tried again
		w.holds(box, 32, 1e9, 100)
		w.unheld("")
	})
}

// TestLimitsThatTheMachineHasNot are refused, and the instance runs on as it is.
func TestLimitsThatTheMachineHasNot(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		w.apply(limited(2, 64, 1000e9, 0))
		if s := w.state(one); s.Failure == nil || s.Failure.Code != problem.Validation || !strings.Contains(s.Failure.Message, "64 cores") || s.Phase != wire.PhaseReady {
			t.Errorf("it is %+v", s)
		}
		if c := w.engine.Find(one)[0]; c.ID != box.ID || c.Status != runtime.Running {
			t.Errorf("the container is %+v", c)
		}
		w.apply(limited(3, 64, 1e9, 0))
		w.holds(box, 64, 1e9, 100)
	})
}

// TestLimitsKilledHalfway: the agent is killed before the engine has them, and
// after it has but nobody heard of it.
func TestLimitsKilledHalfway(t *testing.T) {
	t.Parallel()
	for _, done := range []bool{false, true} {
		play(t, func(w *world) {
			w.apply(basic(one, 1))
			box := w.running(one)
			release := func() {}
			if done {
				w.engine.LoseAnswer(fake.Repair, runtime.Fail(runtime.Unreachable, nil, "away"))
			} else {
				release = w.engine.Hold(fake.Repair)
			}
			w.apply(limited(2, 128, 1e9, 0))
			go func() {
				time.Sleep(time.Second)
				release()
			}()
			w.kill()
			w.sleep(2 * time.Minute)
			w.holds(box, 128, 1e9, 100)
		})
	}
}

// older makes the instance's container one of an older release: with the hash
// that it would have had.
func (w *world) older(spec wire.Spec) runtime.Container {
	w.t.Helper()
	c := w.m.containerSpec(spec)
	w.engine.Alter(w.engine.Find(one)[0].ID, func(box *runtime.Container) { box.SpecHash = hashOnce(c) })
	w.stop()
	w.boot()
	w.sleep(time.Minute)
	return w.running(one)
}

// TestUpgradeMakesNothingAnew: the hash of before is good, also once the limits are
// others than it was made of.
func TestUpgradeMakesNothingAnew(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		w.running(one)
		box := w.older(basic(one, 1))
		w.holds(box, 64, 5e8, 100)
		w.apply(limited(2, 128, 1e9, 0))
		w.holds(box, 128, 1e9, 100)
		w.reboot()
		w.sleep(time.Minute)
		w.apply(limited(3, 256, 2e9, 0))
		w.holds(box, 256, 2e9, 100)
		if w.engine.Calls(fake.Create) != 1 {
			t.Error("a container was made anew")
		}
		s := limited(4, 256, 2e9, 0)
		s.Env = []string{"A=2"}
		w.apply(s)
		if c := w.running(one); c.ID == box.ID {
			t.Error("another variable needs another container")
		}
	})
}

// TestUpgradeWhoseLimitsChangedMeanwhile: the order came before the new agent had
// looked.
func TestUpgradeWhoseLimitsChangedMeanwhile(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		c := w.m.containerSpec(basic(one, 1))
		w.engine.Alter(box.ID, func(box *runtime.Container) { box.SpecHash = hashOnce(c) })
		w.stop()
		w.engine.SetUnreachable(true)
		w.boot()
		w.apply(limited(2, 128, 1e9, 0))
		w.engine.SetUnreachable(false)
		w.sleep(time.Minute)
		w.holds(box, 128, 1e9, 100)
		w.reboot()
		w.sleep(time.Minute)
		w.holds(box, 128, 1e9, 100)
	})
}

// TestHashOfOlderReleases never changes: containers out there carry it.
func TestHashOfOlderReleases(t *testing.T) {
	t.Parallel()
	c := runtime.ContainerSpec{
		Name: "berth-00000001", Image: "redis:7", Command: []string{"redis-server"}, Env: []string{"A=1"}, TTY: true, MemoryBytes: 64 << 20, NanoCPUs: 5e8, PidsLimit: 100,
		Ports:  []runtime.Port{{HostIP: "0.0.0.0", Host: 25565, Container: 25565, Protocol: runtime.TCP}},
		Mounts: []runtime.Mount{{Source: "/data", Target: "/app/data"}}, Network: "berth",
	}
	const want = "1-9945cb738835a6b96db6982d36125289"
	if got := hashOnce(c); got != want {
		t.Errorf("it is %s, was %s", got, want)
	}
	o := &owner{known: journal.Known{}}
	made := runtime.Container{SpecHash: want, MemoryBytes: 64 << 20, NanoCPUs: 5e8, PidsLimit: 100}
	c.SpecHash = hash(c)
	if !o.fits(made, c) {
		t.Error("it doesn't fit")
	}
	c.MemoryBytes *= 2
	if !o.fits(made, c) {
		t.Error("it doesn't fit with more memory")
	}
	if c.Env = nil; o.fits(made, c) {
		t.Error("it fits with other variables")
	}
}
