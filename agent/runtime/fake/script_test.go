package fake_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// follow collects the kinds of change until the test ends.
func follow(t *testing.T, e *fake.Engine) func() []runtime.ChangeKind {
	t.Helper()
	var mu sync.Mutex
	var kinds []runtime.ChangeKind
	ready := make(chan struct{})
	go func() {
		_ = e.Watch(t.Context(), func() { close(ready) }, func(c runtime.Change) {
			mu.Lock()
			defer mu.Unlock()
			kinds = append(kinds, c.Kind)
		})
	}()
	<-ready
	return func() []runtime.ChangeKind {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		got := kinds
		kinds = nil
		return got
	}
}

// TestEvents: each thing that befalls a container, its mark and what is told.
func TestEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := setup(t, fake.Program{})
		told := follow(t, e)
		id := start(t, e)
		want := func(what string, kinds ...runtime.ChangeKind) {
			t.Helper()
			if got := told(); !slices.Equal(got, kinds) {
				t.Errorf("%s is told as %v, want %v", what, got, kinds)
			}
		}
		again := func() {
			t.Helper()
			if err := e.Start(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			told()
		}
		want("create and start", runtime.Other, runtime.Started)
		e.OOMInside(id)
		want("a lack of memory inside", runtime.OOM)
		if c := inspect(t, e, id); c.Status != runtime.Running {
			t.Errorf("it is %s", c.Status)
		}
		e.Crash(id, 3)
		want("a crash", runtime.Died)
		if c := inspect(t, e, id); c.ExitCode != 3 || c.OOMKilled {
			t.Errorf("crashed, it is %+v", c)
		}
		again()
		e.OOMKill(id)
		want("a lack of memory", runtime.OOM, runtime.Died)
		if c := inspect(t, e, id); c.ExitCode != 137 || !c.OOMKilled {
			t.Errorf("it is %+v", c)
		}
		again()
		if c := inspect(t, e, id); c.OOMKilled || c.ExitCode != 0 || !c.FinishedAt.IsZero() {
			t.Errorf("started again, it is %+v", c)
		}
		e.Pause(id)
		want("a pause", runtime.Other)
		e.Half(id)
		want("half a removal", runtime.Died)
		if err := e.Start(t.Context(), id); runtime.ReasonOf(err) != runtime.Conflict {
			t.Errorf("Start of what is half removed: %v", err)
		}
		if err := e.Remove(t.Context(), id); err != nil {
			t.Error(err)
		}
		want("a removal", runtime.Removed)
		gone := start(t, e)
		told()
		e.Vanish(gone)
		want("a removal by hand", runtime.Died, runtime.Removed)
		for what, did := range map[string]bool{"Crash": e.Crash(gone, 1), "OOMKill": e.OOMKill(gone), "OOMInside": e.OOMInside(gone), "Vanish": e.Vanish(gone), "Pause": e.Pause(gone), "Half": e.Half(gone)} {
			if did {
				t.Errorf("%s of a container that is gone worked", what)
			}
		}
		want("nothing")
	})
}

func TestBreakWatches(t *testing.T) {
	t.Parallel()
	e := setup(t, fake.Program{})
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- e.Watch(t.Context(), func() { close(ready) }, func(runtime.Change) {}) }()
	<-ready
	e.BreakWatches()
	if err := <-ended; runtime.ReasonOf(err) != runtime.Unreachable {
		t.Fatalf("Watch: %v", err)
	}
	if _, err := e.List(t.Context()); err != nil {
		t.Fatalf("List: %v", err)
	}
}

// TestTime: what containers do takes the time that it should, and none of ours.
func TestTime(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		program fake.Program
		how     runtime.StopSpec
		takes   time.Duration
		code    int
	}{
		"at once":               {fake.Program{}, runtime.StopSpec{Grace: time.Hour}, 0, 143},
		"by a signal":           {fake.Program{}, runtime.StopSpec{Signal: "INT", Grace: time.Hour}, 0, 130},
		"by a line":             {fake.Program{}, runtime.StopSpec{Command: "stop", Grace: time.Hour}, 0, 0},
		"by another line":       {fake.Program{}, runtime.StopSpec{Command: "bye", Grace: time.Hour}, time.Hour, 137},
		"slowly":                {fake.Program{StopTakes: time.Minute}, runtime.StopSpec{Grace: time.Hour}, time.Minute, 143},
		"too slowly":            {fake.Program{StopTakes: time.Hour}, runtime.StopSpec{Grace: time.Minute}, time.Minute, 137},
		"never":                 {fake.Program{Stubborn: true}, runtime.StopSpec{Grace: 10 * time.Minute}, 10 * time.Minute, 137},
		"killed":                {fake.Program{Stubborn: true}, runtime.StopSpec{Signal: "SIGKILL", Grace: time.Hour}, 0, 137},
		"by itself in between":  {fake.Program{Stubborn: true, Ends: true, Runs: time.Minute, ExitCode: 4}, runtime.StopSpec{Grace: time.Hour}, time.Minute, 4},
		"by a signal of my own": {fake.Program{OnSignal: func(n int) (int, bool) { return n, true }}, runtime.StopSpec{Signal: "SIGRTMIN+3", Grace: time.Hour}, 0, 37},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := setup(t, c.program)
			id := start(t, e)
			began := time.Now()
			if err := e.Stop(t.Context(), id, c.how); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if took := time.Since(began); took != c.takes {
				t.Errorf("%s: it took %s, want %s", what, took, c.takes)
			}
			if got := inspect(t, e, id); got.ExitCode != c.code || !got.FinishedAt.Equal(time.Now()) {
				t.Errorf("%s: it is %+v, want code %d", what, got, c.code)
			}
		})
	}
}

// TestEarlierLife: a timer of a life that has ended does nothing to the next.
func TestEarlierLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := setup(t, fake.Program{Ends: true, Runs: time.Hour, ExitCode: 5})
		id := start(t, e)
		time.Sleep(time.Minute)
		e.Crash(id, 1)
		e.SetProgram(func(runtime.ContainerSpec) fake.Program { return fake.Program{} })
		if err := e.Start(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		if c := inspect(t, e, id); c.Status != runtime.Running {
			t.Fatalf("the second life is %+v", c)
		}
	})
}

func TestPullScript(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := setup(t, fake.Program{})
		e.OfferImage("bt/big:1", fake.Offer{Bytes: 400, Takes: 4 * time.Minute, Files: map[string]string{"/x": "y"}})
		var done []int64
		began := time.Now()
		if err := e.Pull(t.Context(), "bt/big:1", runtime.Login{}, func(p runtime.PullProgress) { done = append(done, p.DoneBytes) }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 4*time.Minute || !slices.Equal(done, []int64{0, 100, 200, 300, 400}) {
			t.Fatalf("the pull took %s and told %v", took, done)
		}
		e.OfferImage("bt/broken:1", fake.Offer{Takes: time.Minute, Fails: errPlanned})
		if err := e.Pull(t.Context(), "bt/broken:1", runtime.Login{}, nil); !errors.Is(err, errPlanned) {
			t.Fatalf("Pull: %v", err)
		}
		if _, err := e.Image(t.Context(), "bt/broken:1"); runtime.ReasonOf(err) != runtime.ImageMissing {
			t.Fatalf("Image: %v", err)
		}
		e.DropImage("bt/big:1")
		if err := e.Pull(t.Context(), "bt/big:1", runtime.Login{}, nil); runtime.ReasonOf(err) != runtime.ImageNotFound {
			t.Fatalf("Pull of a dropped image: %v", err)
		}
	})
}

// TestRecords: what a test asks afterwards.
func TestRecords(t *testing.T) {
	t.Parallel()
	e := setup(t, fake.Program{})
	id := start(t, e)
	if got := e.Spec(id); got.PidsLimit != 64 || got.Image != image {
		t.Errorf("Spec is %+v", got)
	}
	if got := e.Spec("x"); got.Name != "" {
		t.Errorf("Spec of none is %+v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_ = e.Stop(ctx, id, runtime.StopSpec{Command: "say bye", Grace: time.Hour})
	if err := e.Stop(t.Context(), id, runtime.StopSpec{Signal: "SIGINT", Grace: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if lines, signals := e.Lines(id), e.Signals(id); !slices.Equal(lines, []string{"say bye"}) || !slices.Equal(signals, []string{"SIGINT"}) {
		t.Errorf("lines %q, signals %q", lines, signals)
	}
	e.AddNetwork(runtime.NetworkSpec{Name: "theirs"})
	if err := e.EnsureNetwork(t.Context(), runtime.NetworkSpec{Name: "theirs"}); runtime.ReasonOf(err) != runtime.Conflict {
		t.Errorf("EnsureNetwork: %v", err)
	}
	if err := e.EnsureNetwork(t.Context(), runtime.NetworkSpec{Name: "berth"}); err != nil {
		t.Error(err)
	}
	if got := e.Networks(); !slices.Equal(got, []string{"berth", "theirs"}) {
		t.Errorf("Networks are %v", got)
	}
	e.DropNetwork("berth")
	if got := e.Networks(); !slices.Equal(got, []string{"theirs"}) {
		t.Errorf("Networks are %v", got)
	}
}

// TestVacate: a port that a program had is free once it leaves.
func TestVacate(t *testing.T) {
	t.Parallel()
	e := setup(t, fake.Program{})
	vacate := e.Occupy(9000, runtime.UDP)
	spec := runtimetest.Spec(image)
	spec.Ports = runtimetest.Publish(9000, 80, runtime.UDP)
	id, err := e.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), id); runtime.ReasonOf(err) != runtime.PortInUse {
		t.Fatalf("Start: %v", err)
	}
	vacate()
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

// TestThousands of containers, from many goroutines, with watchers.
func TestThousands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := setup(t, fake.Program{Ends: true, Runs: time.Hour})
		told := follow(t, e)
		const many = 3000
		var group sync.WaitGroup
		for i := range many {
			group.Go(func() {
				spec := runtimetest.Spec(image)
				spec.Name = fmt.Sprintf("bt-%d", i)
				spec.Ports = runtimetest.Publish(uint16(10000+i), 80, runtime.TCP, runtime.UDP)
				id, err := e.Create(t.Context(), spec)
				if err == nil {
					err = e.Start(t.Context(), id)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if got := len(told()); got != 2*many {
			t.Fatalf("%d changes were told, want %d", got, 2*many)
		}
		time.Sleep(2 * time.Hour)
		if got := len(told()); got != many {
			t.Fatalf("%d ends were told, want %d", got, many)
		}
		for i, c := range e.Containers() {
			if c.Status != runtime.Exited || c.ID != runtime.ContainerID(fmt.Sprintf("%064x", i+1)) {
				t.Fatalf("container %d is %+v", i, c)
			}
		}
	})
}
