package instance

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestDeployMakesAndStartsTheContainer(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		spec := basic(one, 1)
		spec.Install.Downloads = []wire.Download{{URL: "http://files.example/server.jar", Path: "bin/server.jar"}}
		w.apply(spec)
		box := w.running(one)

		made := w.engine.Spec(box.ID)
		want := runtime.ContainerSpec{
			Name: "berth-00000001", Instance: one, Generation: 1, SpecHash: made.SpecHash, Image: gameImage, Env: []string{"A=1"},
			TTY: true, MemoryBytes: 64 << 20, NanoCPUs: 5e8, PidsLimit: 100, Network: "berth", Hostname: "00000001",
			Mounts: []runtime.Mount{{Source: w.volumes.Path(one), Target: "/app/data"}},
			Ports: []runtime.Port{
				{HostIP: "0.0.0.0", Host: 25565, Container: 25565, Protocol: runtime.TCP},
				{HostIP: "0.0.0.0", Host: 25565, Container: 25565, Protocol: runtime.UDP},
			},
		}
		if !reflect.DeepEqual(made, want) || made.SpecHash == "" {
			t.Errorf("the container was made from\n%+v, want\n%+v", made, want)
		}
		if text, err := os.ReadFile(w.volumeFile(one, "bin/server.jar")); err != nil || string(text) != "http://files.example/server.jar" {
			t.Errorf("downloaded file: %q, %v", text, err)
		}
		if w.engine.Calls(fake.Pull) != 0 {
			t.Error("a registry was asked for an image that is there")
		}

		var told []string
		for _, e := range w.events(wire.EventState) {
			told = append(told, fmt.Sprintf("%d %s %s %v", e.Generation, e.State.Phase, e.State.Actual, e.State.Converged))
		}
		wantTold := []string{"1 installing stopped false", "1 installing starting false", "1 ready running true"}
		if !reflect.DeepEqual(told, wantTold) {
			t.Errorf("told %q, want %q", told, wantTold)
		}
		if s := w.lastState(one).State; s.StartedAt == nil || !s.StartedAt.Equal(box.StartedAt) || s.ExitCode != nil {
			t.Errorf("last state %+v", s)
		}
	})
}

func TestDeployStoppedMakesTheContainerOnly(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		spec := basic(one, 1)
		spec.Power.Want = wire.WantStopped
		w.apply(spec)
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		if boxes := w.engine.Find(one); len(boxes) != 1 || boxes[0].Status != runtime.Created {
			t.Errorf("containers: %+v", boxes)
		}
	})
}

func TestPullShowsProgressAndIsShared(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.OfferImage("big:1", fake.Offer{Bytes: 100 << 20, Takes: 20 * time.Second})
		for i := 1; i <= 5; i++ {
			spec := basic(ident.Instance(fmt.Sprintf("%08x", i)), 1)
			spec.Image.Reference = "big:1"
			spec.Ports = nil
			w.apply(spec)
		}
		w.sleep(10 * time.Second)
		for i := 1; i <= 5; i++ {
			w.expect(ident.Instance(fmt.Sprintf("%08x", i)), wire.PhaseInstalling, wire.ActualStopped, false)
		}
		progress := w.events(wire.EventProgress)
		if len(progress) != 5 {
			t.Fatalf("%d progress events are kept, want one for each instance", len(progress))
		}
		for _, e := range progress {
			if e.Progress.Step != "pull" || e.Progress.Percent < 20 || e.Progress.Percent > 80 {
				t.Errorf("half-way: %+v", *e.Progress)
			}
		}
		w.sleep(20 * time.Second)
		for i := 1; i <= 5; i++ {
			w.running(ident.Instance(fmt.Sprintf("%08x", i)))
		}
		if n := w.engine.Calls(fake.Pull); n != 1 {
			t.Errorf("%d pulls of one reference", n)
		}
	})
}

func TestAtMostTwoPullsAtATime(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		release := w.engine.Hold(fake.Pull)
		for i := 1; i <= 4; i++ {
			spec := basic(ident.Instance(fmt.Sprintf("%08x", i)), 1)
			spec.Image.Reference, spec.Ports = fmt.Sprintf("big:%d", i), nil
			w.engine.OfferImage(spec.Image.Reference, fake.Offer{})
			w.apply(spec)
		}
		if n := w.engine.Waiting(fake.Pull); n != 2 {
			t.Errorf("%d pulls at a time", n)
		}
		release()
		synctest.Wait()
		for i := 1; i <= 4; i++ {
			w.running(ident.Instance(fmt.Sprintf("%08x", i)))
		}
	})
}

func TestPullThatCannotWorkFailsAtOnceAndForGood(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		spec := basic(one, 1)
		spec.Image.Reference = "nope:1"
		w.apply(spec)
		s := w.expect(one, wire.PhaseFailed, wire.ActualStopped, true)
		if s.Failure == nil || s.Failure.Code != problem.NotFound || s.Failure.Message == "" {
			t.Errorf("failure: %+v", s.Failure)
		}
		w.lastState(one)
		w.sleep(time.Hour)
		w.reboot()
		if n := w.engine.Calls(fake.Pull); n != 1 {
			t.Errorf("%d pulls, want 1: a failed deploy waits for a new generation", n)
		}
		w.engine.OfferImage("nope:1", fake.Offer{})
		spec.Generation = 2
		w.apply(spec)
		w.running(one)
	})
}

func TestPullIsTriedThreeTimesWithinAMinute(t *testing.T) {
	t.Parallel()
	down := runtime.Fail(runtime.RegistryDown, errors.New("dial tcp"), "the registry docker.io can't be reached")
	for _, tt := range []struct {
		failures int
		ok       bool
	}{{2, true}, {3, false}} {
		t.Run(fmt.Sprint(tt.failures), func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.engine.OfferImage("late:1", fake.Offer{})
				for range tt.failures {
					w.engine.FailNext(fake.Pull, down)
				}
				spec := basic(one, 1)
				spec.Image.Reference = "late:1"
				w.apply(spec)
				w.expect(one, wire.PhaseInstalling, wire.ActualStopped, false)
				w.sleep(time.Minute)
				if n := w.engine.Calls(fake.Pull); n != 3 {
					t.Errorf("%d tries", n)
				}
				if tt.ok {
					w.running(one)
					return
				}
				s := w.expect(one, wire.PhaseFailed, wire.ActualStopped, true)
				if s.Failure.Code != problem.ResourceBusy || s.Failure.Message != down.Message {
					t.Errorf("failure: %+v", s.Failure)
				}
			})
		})
	}
}

func TestStartThatFailsIsNoCrash(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		vacate := w.engine.Occupy(25565, runtime.TCP)
		w.apply(basic(one, 1))
		s := w.expect(one, wire.PhaseFailed, wire.ActualStopped, true)
		if s.Failure.Code != problem.Conflict || s.Failure.Message != "port 25565 is in use on this node by another program" {
			t.Errorf("failure: %+v", s.Failure)
		}
		if s.RetryAt != nil || s.ExitCode != nil {
			t.Errorf("it counts as an exit: %+v", s)
		}
		w.sleep(time.Hour)
		if n := w.engine.Calls(fake.Start); n != 1 {
			t.Errorf("%d starts", n)
		}

		vacate()
		spec := basic(one, 2)
		spec.Power.Order = 2
		w.apply(spec)
		w.running(one)

		// The same on an instance that was ready leaves it ready.
		spec.Generation, spec.Power = 3, wire.Power{Want: wire.WantStopped, Order: 3}
		w.apply(spec)
		vacate = w.engine.Occupy(25565, runtime.UDP)
		spec.Generation, spec.Power = 4, wire.Power{Want: wire.WantRunning, Order: 4}
		w.apply(spec)
		if s := w.expect(one, wire.PhaseReady, wire.ActualStopped, true); s.Failure == nil || s.Failure.Code != problem.Conflict {
			t.Errorf("failure: %+v", s.Failure)
		}
		vacate()
		w.reboot() // what stood in the way may be gone
		w.running(one)
	})
}

func TestFailuresOfEveryStepAreTold(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		method fake.Method
		err    error
		code   problem.Code
	}{
		{fake.Image, runtime.Fail(runtime.BadReference, nil, "no image name"), problem.Validation},
		{fake.EnsureNetwork, runtime.Fail(runtime.Conflict, nil, "another subnet"), problem.Conflict},
		{fake.Create, runtime.Fail(runtime.InvalidSpec, nil, "refused"), problem.Validation},
		{fake.Create, runtime.Fail(runtime.NoSpace, nil, "the disk is full"), problem.InsufficientResources},
		{fake.Start, runtime.Fail(runtime.CommandNotFound, nil, "no such command"), problem.Validation},
		{fake.Start, errors.New("secret words of the engine"), problem.Internal},
	} {
		t.Run(fmt.Sprint(tt.method, tt.code), func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.engine.FailNext(tt.method, tt.err)
				w.apply(basic(one, 1))
				s := w.expect(one, wire.PhaseFailed, wire.ActualStopped, true)
				if s.Failure.Code != tt.code || s.Failure.Message == "" || s.Failure.Message == "secret words of the engine" {
					t.Errorf("failure: %+v", s.Failure)
				}
				w.apply(basic(one, 2))
				w.running(one)
			})
		})
	}
}

func TestDownloadsHappenOnce(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		spec := basic(one, 1)
		spec.Install.Downloads = []wire.Download{{URL: "u", Path: "server.jar"}}
		w.installer.fails = problem.New(problem.Validation, "can't download server.jar")
		w.apply(spec)
		if s := w.expect(one, wire.PhaseFailed, wire.ActualStopped, true); s.Failure.Message != "can't download server.jar" {
			t.Errorf("failure: %+v", s.Failure)
		}
		if w.engine.Calls(fake.Start) != 0 {
			t.Error("it was started without its files")
		}
		w.installer.fails = nil
		spec.Generation = 2
		w.apply(spec)
		w.running(one)
		if err := os.Remove(w.volumeFile(one, "server.jar")); err != nil { // its owner may
			t.Fatal(err)
		}
		w.reboot()
		spec.Generation, spec.Limits.MemoryMiB = 3, 128
		w.apply(spec)
		w.running(one)
		if n := w.installer.count(); n != 2 {
			t.Errorf("%d installs, want the failed and the good one", n)
		}
	})
}

func TestNewSpecInterruptsPullAndInstall(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.OfferImage("slow:1", fake.Offer{Takes: time.Hour})
		spec := basic(one, 1)
		spec.Image.Reference = "slow:1"
		w.apply(spec)
		next := basic(one, 2)
		next.Install.Downloads = []wire.Download{{URL: "u", Path: "f"}}
		w.installer.hold = make(chan struct{}) // never released
		w.apply(next)
		w.expect(one, wire.PhaseInstalling, wire.ActualStopped, false)
		if w.installer.count() != 1 {
			t.Fatal("the install did not begin")
		}
		next.Generation, next.Install.Downloads = 3, nil
		w.apply(next)
		w.running(one)
	})
}

func TestImagesMadeHereAreProvided(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.images = provide(func(reference string) (bool, error) {
			if reference != "own:1" {
				return false, nil
			}
			w.engine.AddImage("own:1", runtime.Image{}, nil)
			return true, nil
		})
		w.boot()
		defer func() { w.stop() }()
		spec := basic(one, 1)
		spec.Image.Reference = "own:1"
		w.apply(spec)
		w.running(one)
		if w.engine.Calls(fake.Pull) != 0 {
			t.Error("it was pulled")
		}
	})
}
