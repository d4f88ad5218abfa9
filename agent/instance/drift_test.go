package instance

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// reported is basic under the policy that leaves what is done by hand.
func reported(generation int64) wire.Spec {
	s := basic(one, generation)
	s.Drift = wire.DriftReport
	return s
}

// drifted checks what is told of drift, and that it was told with one event.
func (w *world) drifted(id ident.Instance, want string) {
	w.t.Helper()
	if got := w.state(id).Drift; got != want {
		w.t.Fatalf("drift is told as %q, want %q", got, want)
	}
	w.lastState(id)
	said := ""
	for _, e := range w.events(wire.EventState) {
		if e.Instance != id {
			continue
		}
		if e.State.Drift == want && said == want && want != "" && e.State.Actual == w.state(id).Actual {
			w.t.Errorf("%q was told more than once", want)
		}
		said = e.State.Drift
	}
}

func TestRemovedByHandIsMadeAgain(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		old := w.running(one)
		if err := writeFile(w.volumeFile(one, "world")); err != nil {
			t.Fatal(err)
		}
		w.engine.Vanish(old.ID)
		w.sleep(0)
		if box := w.running(one); box.ID == old.ID || !exists(w.volumeFile(one, "world")) {
			t.Errorf("container %+v", box)
		}
		w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2}))
		w.engine.Vanish(w.engine.Find(one)[0].ID)
		w.sleep(0)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
	})
}

func TestStartedByHandIsStopped(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(order(1, wire.Power{Want: wire.WantStopped, Order: 1}))
		if err := w.engine.Start(t.Context(), w.engine.Find(one)[0].ID); err != nil {
			t.Fatal(err)
		}
		w.sleep(0)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		if box := w.engine.Find(one)[0]; box.Status != runtime.Exited {
			t.Errorf("it is %s", box.Status)
		}
	})
}

// However a program ends that is told to by hand, with or without an error, at
// once or after a while: it is started again, and no crash is counted.
func TestStoppedByHandIsStartedAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		signal int
		takes  time.Duration
		code   int
	}{
		"asked, and ends well":              {15, 0, 0},
		"asked, and takes its time":         {15, 5 * time.Minute, 0},
		"asked, and ends with an error":     {2, time.Second, 3},
		"killed":                            {9, 0, 137},
		"by a signal that it doesn't know":  {1, 0, 129},
		"by one that its image wants to be": {28, 10 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program {
					return fake.Program{StopTakes: tt.takes, OnSignal: func(int) (int, bool) { return tt.code, true }}
				})
				w.apply(basic(one, 1))
				for range 2 * crashLimit {
					if !w.engine.Signal(w.running(one).ID, tt.signal) {
						t.Fatal("it doesn't run")
					}
					w.sleep(tt.takes)
					w.running(one)
				}
				if n := w.crashes(one); n != 0 {
					t.Errorf("%d crashes are told", n)
				}
				w.drifted(one, "")
				w.engine.Crash(w.running(one).ID, 1) // and this one is the first that counts
				w.sleep(0)
				w.running(one)
			})
		})
	}
}

// What is no order to end says nothing about an end that comes later.
func TestSignalsThatEndNothing(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program {
			return fake.Program{OnSignal: func(int) (int, bool) { return 0, false }}
		})
		w.apply(basic(one, 1))
		box := w.running(one)
		for range 100 { // more than are remembered
			w.engine.Signal(box.ID, 1)
		}
		w.sleep(time.Minute)
		w.engine.Crash(box.ID, 0)
		w.sleep(0)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true) // by itself

		w.apply(order(2, wire.Power{Want: wire.WantRunning, Order: 2}))
		w.engine.Signal(box.ID, 15)
		w.sleep(obeyedWithin + time.Second)
		w.engine.Crash(box.ID, 0)
		w.sleep(0)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
	})
}

// The agent's own stop is nobody's hand: what ends after a restart ended by itself.
func TestOwnSignalsAreNotTakenForAHand(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program { return fake.Program{StopTakes: time.Second} })
		spec := basic(one, 1)
		spec.Stop = wire.Stop{Signal: "SIGINT", GraceSeconds: 10}
		w.apply(spec)
		spec.Generation, spec.Power = 2, wire.Power{Want: wire.WantRunning, Order: 2, Restart: true}
		w.apply(spec)
		w.sleep(2 * time.Second)
		w.engine.Crash(w.running(one).ID, 0)
		w.sleep(time.Minute)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
	})
}

// The end may be seen by a look for another reason before the engine's word of
// the signal has come.
func TestEndSeenBeforeItIsTold(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		release := w.engine.Hold(fake.Inspect)
		w.engine.OOMInside(box.ID) // a look begins
		synctest.Wait()
		w.engine.HoldChanges(true)
		w.engine.Signal(box.ID, 15)
		release()
		w.sleep(time.Millisecond)
		w.expect(one, wire.PhaseReady, wire.ActualRunning, true) // nothing is concluded yet
		w.engine.HoldChanges(false)
		w.sleep(0)
		w.running(one)
		if w.crashes(one) != 0 {
			t.Error("it counts as a crash")
		}
		// And when the engine never tells, it is judged without.
		w.engine.HoldChanges(true)
		w.engine.Crash(box.ID, 0)
		w.sleep(2 * (askEvery + askJitter))
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
	})
}

func TestRestartedByHand(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		w.sleep(time.Minute)
		release := w.engine.Hold(fake.Inspect)
		w.engine.Signal(box.ID, 15)
		if err := w.engine.Start(t.Context(), box.ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		release()
		w.sleep(time.Second)
		if again := w.running(one); !w.state(one).StartedAt.Equal(again.StartedAt) || again.StartedAt.Equal(box.StartedAt) {
			t.Errorf("it is said to run since %s", w.state(one).StartedAt)
		}
	})
}

// alterations are the changes by hand that leave a container as it is, and what
// is said of them.
func alterations() map[string]struct {
	alter func(w *world, id runtime.ContainerID)
	said  string
} {
	change := func(f func(c *runtime.Container)) func(w *world, id runtime.ContainerID) {
		return func(w *world, id runtime.ContainerID) { w.engine.Alter(id, f) }
	}
	return map[string]struct {
		alter func(w *world, id runtime.ContainerID)
		said  string
	}{
		"paused":     {func(w *world, id runtime.ContainerID) { w.engine.Pause(id) }, "it is paused"},
		"renamed":    {change(func(c *runtime.Container) { c.Name = "x" }), "it is called x"},
		"memory":     {change(func(c *runtime.Container) { c.MemoryBytes = 128 << 20 }), "it may use 128 MiB of memory instead of 64"},
		"processor":  {change(func(c *runtime.Container) { c.NanoCPUs = 25e8 }), "it may use 2.5 cores instead of 0.5"},
		"processes":  {change(func(c *runtime.Container) { c.PidsLimit = 7 }), "it may have 7 processes instead of 100"},
		"unlimited":  {change(func(c *runtime.Container) { c.PidsLimit = -1 }), "it may have any number of processes instead of 100"},
		"cut off":    {change(func(c *runtime.Container) { c.Network = "" }), "it is on no network"},
		"connected":  {change(func(c *runtime.Container) { c.Network = "berth,other" }), "it is on the network berth,other instead of berth"},
		"restarting": {change(func(c *runtime.Container) { c.Restarts = true }), "the engine starts it again by itself"},
	}
}

func TestChangedByHandIsPutRightInPlace(t *testing.T) {
	t.Parallel()
	for name, tt := range alterations() {
		for _, up := range []bool{true, false} {
			if name == "paused" && !up {
				continue
			}
			t.Run(fmt.Sprintf("%s up=%v", name, up), func(t *testing.T) {
				t.Parallel()
				play(t, func(w *world) {
					w.apply(basic(one, 1))
					before := w.running(one)
					if !up {
						w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2}))
						before = w.engine.Find(one)[0]
					}
					tt.alter(w, before.ID)
					w.sleep(askEvery + askJitter) // at most: most is told at once
					if after := w.engine.Find(one)[0]; after != before {
						t.Errorf("it is\n%+v, was\n%+v", after, before)
					}
					w.drifted(one, "")
					if n := w.engine.Calls(fake.Repair); n != 1 {
						t.Errorf("%d repairs", n)
					}
				})
			})
		}
	}
}

func TestChangedByHandIsReported(t *testing.T) {
	t.Parallel()
	for name, tt := range alterations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.apply(reported(1))
				before := w.running(one)
				tt.alter(w, before.ID)
				altered := w.engine.Find(one)[0]
				w.sleep(askEvery + askJitter)
				w.drifted(one, "the container was changed by hand: "+tt.said)
				w.sleep(time.Hour)
				w.reboot()
				w.sleep(time.Hour)
				w.drifted(one, "the container was changed by hand: "+tt.said)
				if after := w.engine.Find(one)[0]; after != altered || w.engine.Calls(fake.Repair) != 0 {
					t.Fatalf("it is\n%+v, was left\n%+v", after, altered)
				}
				w.apply(reported(2)) // the next order, whatever it is
				if after := w.running(one); after.ID != before.ID || after.Status != runtime.Running {
					t.Errorf("it is\n%+v, was\n%+v", after, before)
				}
				w.drifted(one, "")
			})
		})
	}
}

// Whoever undoes it himself has undone it.
func TestDriftThatGoesAway(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(reported(1))
		box := w.running(one)
		w.engine.Pause(box.ID)
		w.sleep(0)
		w.drifted(one, "the container was changed by hand: it is paused")
		if err := w.engine.Start(t.Context(), box.ID); err != nil {
			t.Fatal(err)
		}
		w.sleep(0)
		w.drifted(one, "")
	})
}

func TestStoppedByHandIsReported(t *testing.T) {
	t.Parallel()
	const said = "the container was stopped by hand"
	for _, code := range []int{0, 1} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program {
					return fake.Program{OnSignal: func(int) (int, bool) { return code, true }}
				})
				w.apply(reported(1))
				box := w.running(one)
				w.engine.Signal(box.ID, 15)
				w.sleep(0)
				w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
				w.drifted(one, said)
				w.sleep(time.Hour)
				w.reboot()
				w.sleep(time.Hour)
				w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
				w.drifted(one, said)
				if n := w.engine.Calls(fake.Start); n != 1 {
					t.Fatalf("%d starts", n)
				}
				// Started by hand, too: nothing is left of it.
				if err := w.engine.Start(t.Context(), box.ID); err != nil {
					t.Fatal(err)
				}
				w.sleep(0)
				w.running(one)
				w.drifted(one, "")
				// A crash is a crash under every policy.
				w.crash(one)
				w.running(one)
				// And the next order puts right what was left.
				w.engine.Signal(box.ID, 9)
				w.sleep(0)
				w.drifted(one, said)
				w.apply(reported(2))
				w.running(one)
				w.drifted(one, "")
			})
		})
	}
}

func TestRemovedByHandIsReported(t *testing.T) {
	t.Parallel()
	const said = "the container was removed by hand"
	for name, vanish := range map[string]func(w *world){
		"while the agent looks": func(w *world) { w.engine.Vanish(w.engine.Find(one)[0].ID) },
		"while it is down": func(w *world) {
			w.stop()
			w.engine.Vanish(w.engine.Find(one)[0].ID)
			w.boot()
		},
		"while it is away from the engine": func(w *world) {
			w.engine.SetUnreachable(true)
			w.engine.Vanish(w.engine.Find(one)[0].ID)
			w.sleep(time.Minute)
			w.engine.SetUnreachable(false)
			w.sleep(time.Minute)
		},
		"in two steps": func(w *world) {
			id := w.engine.Find(one)[0].ID
			w.engine.Signal(id, 9)
			w.engine.Half(id)
			w.sleep(time.Second)
			w.engine.Vanish(id)
		},
	} {
		for _, want := range []wire.Want{wire.WantRunning, wire.WantStopped} {
			t.Run(name+" "+string(want), func(t *testing.T) {
				t.Parallel()
				play(t, func(w *world) {
					spec := reported(1)
					spec.Power.Want = want
					w.apply(spec)
					vanish(w)
					w.sleep(0)
					w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
					w.drifted(one, said)
					w.reboot()
					w.sleep(time.Hour)
					w.drifted(one, said)
					if s := w.state(one); s.Container != "" || len(w.engine.Containers()) != 0 || s.Actual != wire.ActualStopped {
						t.Fatalf("it is %+v", s)
					}
					spec.Generation, spec.Power.Want = 2, wire.WantRunning
					spec.Power.Order = 2
					w.apply(spec)
					w.running(one)
					w.drifted(one, "")
				})
			})
		}
	}
}

func TestStartedByHandIsReported(t *testing.T) {
	t.Parallel()
	const said = "the container was changed by hand: it was started"
	play(t, func(w *world) {
		spec := reported(1)
		spec.Power.Want = wire.WantStopped
		w.apply(spec)
		box := w.engine.Find(one)[0]
		if err := w.engine.Start(t.Context(), box.ID); err != nil {
			t.Fatal(err)
		}
		w.sleep(time.Minute)
		w.expect(one, wire.PhaseReady, wire.ActualRunning, true)
		w.drifted(one, said)
		w.reboot()
		w.expect(one, wire.PhaseReady, wire.ActualRunning, true)
		w.engine.Crash(box.ID, 3) // it should not run: nobody starts it again
		w.sleep(time.Hour)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		w.drifted(one, "")
		if err := w.engine.Start(t.Context(), box.ID); err != nil {
			t.Fatal(err)
		}
		w.sleep(0)
		w.drifted(one, said)
		spec.Generation = 2
		w.apply(spec)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		w.drifted(one, "")
	})
}

// A suspension and a removal win over every policy and every hand.
func TestSuspensionAndRemovalWin(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(reported(1))
		box := w.running(one)
		spec := reported(2)
		spec.Suspended = true
		w.apply(spec)
		for range 3 {
			if err := w.engine.Start(t.Context(), box.ID); err != nil {
				t.Fatal(err)
			}
			w.sleep(0)
			w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
			w.drifted(one, "")
			if c := w.engine.Find(one)[0]; c.Status != runtime.Exited {
				t.Fatalf("suspended, it is %s", c.Status)
			}
		}
		w.apply(reported(3))
		w.running(one)
		w.engine.Pause(box.ID)
		w.engine.Alter(box.ID, func(c *runtime.Container) { c.Name = "x" })
		w.sleep(time.Minute)
		w.remove(one, 4)
		w.removed(one, 4, 1)
	})
}

// What can't be put right in place is made anew, once; and what can't be put
// right at all is said, and not tried for ever.
func TestChangedByHandIsMadeAnew(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		w.engine.FailNext(fake.Repair, runtime.Fail(runtime.Unknown, nil, "the kernel refuses"))
		w.engine.Alter(box.ID, func(c *runtime.Container) { c.NanoCPUs = 2e9 })
		w.sleep(0)
		if again := w.running(one); again.ID == box.ID || again.NanoCPUs != 5e8 {
			t.Errorf("it is %+v", again)
		}
		w.drifted(one, "")
		if n := w.crashes(one); n != 0 {
			t.Errorf("%d crashes are told", n)
		}
	})
}

func TestNameThatIsTaken(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		other := w.engine.Beside("another-node")
		release := w.engine.Hold(fake.Repair) // before there is anything to repair
		w.engine.Alter(box.ID, func(c *runtime.Container) { c.Name, c.MemoryBytes = "x", 128<<20 })
		synctest.Wait()
		id, err := other.Create(t.Context(), runtime.ContainerSpec{Name: box.Name, Instance: one, Image: gameImage, MemoryBytes: 64 << 20, NanoCPUs: 1e9})
		if err != nil {
			t.Fatal(err)
		}
		release()
		w.sleep(time.Hour)
		if again := w.running(one); again.ID != box.ID || again.MemoryBytes != 64<<20 || !again.StartedAt.Equal(box.StartedAt) {
			t.Errorf("it is %+v", again)
		}
		w.drifted(one, "the container was changed by hand and can't be put right: it is called x")
		if n := w.engine.Calls(fake.Repair); n > 1+maxMends {
			t.Errorf("%d repairs", n)
		}
		if err := other.Remove(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		w.engine.BreakWatches() // whenever it is looked at afresh
		w.reboot()
		w.sleep(time.Minute)
		w.drifted(one, "")
		if again := w.running(one); again.Name != box.Name {
			t.Errorf("it is %+v", again)
		}
	})
}

// A network that was removed by hand is made again when it is needed.
func TestNetworkRemovedByHand(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.apply(basic(one, 1))
		box := w.running(one)
		w.engine.DropNetwork("berth")
		w.crash(one)
		if again := w.running(one); again.ID != box.ID {
			t.Error("it was made anew")
		}
		w.engine.DropNetwork("berth")
		w.engine.Alter(box.ID, func(c *runtime.Container) { c.Network = "" })
		w.sleep(askEvery + askJitter)
		if again := w.running(one); again.ID != box.ID || again.Network != "berth" {
			t.Errorf("it is %+v", again)
		}
	})
}

// A kill in the middle of a stop: the stop is finished before what was ordered
// since, or a program that is still on its way out would be left down.
func TestStopIsFinishedAfterTheAgentWasKilled(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program { return fake.Program{StopTakes: 8 * time.Second} })
		w.apply(basic(one, 1))
		box := w.running(one)
		w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2}))
		w.expect(one, wire.PhaseReady, wire.ActualStopping, false)
		w.stop()
		w.engine.SetUnreachable(true) // so that the next order comes before the first turn
		w.boot()
		w.apply(order(3, wire.Power{Want: wire.WantRunning, Order: 3}))
		w.engine.SetUnreachable(false)
		w.sleep(time.Minute)
		if again := w.running(one); again.ID != box.ID || !again.StartedAt.After(box.StartedAt) {
			t.Errorf("it is %+v", again)
		}
	})
}

func TestBadDriftPolicyIsRefused(t *testing.T) {
	t.Parallel()
	s := basic(one, 1)
	s.Drift = "ignore"
	if err := Validate(s); err == nil || !strings.Contains(err.Error(), "drift") {
		t.Errorf("it says %v", err)
	}
}
