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

const image = "bt/game:1"

// setup is an engine with an image whose containers do what program says.
func setup(t *testing.T, program fake.Program) *fake.Engine {
	t.Helper()
	e := fake.New(fake.Options{Program: func(runtime.ContainerSpec) fake.Program { return program }})
	e.AddImage(image, runtime.Image{User: "1000"}, map[string]string{"/etc/passwd": "root:x:0:0"})
	return e
}

func create(t *testing.T, e *fake.Engine) runtime.ContainerID {
	t.Helper()
	id, err := e.Create(t.Context(), runtimetest.Spec(image))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func start(t *testing.T, e *fake.Engine) runtime.ContainerID {
	t.Helper()
	id := create(t, e)
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return id
}

func inspect(t *testing.T, e *fake.Engine, id runtime.ContainerID) runtime.Container {
	t.Helper()
	c, err := e.Inspect(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var errPlanned = errors.New("planned")

func TestPlannedFailures(t *testing.T) {
	t.Parallel()
	e := setup(t, fake.Program{})
	id := create(t, e)
	other := errors.New("another")
	e.FailNext(fake.Start, errPlanned)
	e.FailNext(fake.Start, other)
	for _, want := range []error{errPlanned, other} {
		if err := e.Start(t.Context(), id); !errors.Is(err, want) {
			t.Fatalf("Start: %v, want %v", err, want)
		}
		if c := inspect(t, e, id); c.Status != runtime.Created {
			t.Fatalf("a failed Start left it %s", c.Status)
		}
	}
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatalf("Start once the plan is used up: %v", err)
	}

	e.Fail(fake.Kill, errPlanned)
	for range 3 {
		if err := e.Kill(t.Context(), id); !errors.Is(err, errPlanned) {
			t.Fatalf("Kill: %v", err)
		}
	}
	e.Fail(fake.Kill, nil)
	if err := e.Kill(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if e.Calls(fake.Start) != 3 || e.Calls(fake.Kill) != 4 || e.Calls(fake.List) != 0 {
		t.Fatalf("counted %d Starts, %d Kills, %d Lists", e.Calls(fake.Start), e.Calls(fake.Kill), e.Calls(fake.List))
	}
}

// TestLostAnswers: the call takes its effect, and the caller hears of a failure.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	e := setup(t, fake.Program{})
	e.LoseAnswer(fake.Create, errPlanned)
	spec := runtimetest.Spec(image)
	if _, err := e.Create(t.Context(), spec); !errors.Is(err, errPlanned) {
		t.Fatalf("Create: %v", err)
	}
	found := e.Find(spec.Instance)
	if len(found) != 1 {
		t.Fatalf("%d containers are there, want one", len(found))
	}
	id := found[0].ID
	for _, c := range []struct {
		method fake.Method
		call   func(context.Context, runtime.ContainerID) error
		want   runtime.Status
	}{{fake.Start, e.Start, runtime.Running}, {fake.Kill, e.Kill, runtime.Exited}} {
		e.LoseAnswer(c.method, errPlanned)
		if err := c.call(t.Context(), id); !errors.Is(err, errPlanned) {
			t.Fatalf("%s: %v", c.method, err)
		}
		if got := inspect(t, e, id); got.Status != c.want {
			t.Fatalf("after %s it is %s", c.method, got.Status)
		}
	}
	e.LoseAnswer(fake.Remove, errPlanned)
	if err := e.Remove(t.Context(), id); !errors.Is(err, errPlanned) || len(e.Containers()) != 0 {
		t.Fatalf("Remove: %v, left %v", err, e.Containers())
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := setup(t, fake.Program{})
		id := create(t, e)
		release := e.Hold(fake.Start)
		done := make(chan error, 1)
		go func() { done <- e.Start(t.Context(), id) }()
		synctest.Wait()
		if len(done) != 0 || e.Waiting(fake.Start) != 1 {
			t.Fatalf("a held call does not wait: %d waiting", e.Waiting(fake.Start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- e.Start(ctx, id) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Fatalf("a held call that is cancelled: %v", err)
		}
		if c := e.Containers()[0]; c.Status != runtime.Created {
			t.Fatalf("a held Start took effect: %s", c.Status)
		}
		release()
		release()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if e.Waiting(fake.Start) != 0 {
			t.Fatal("a call that has ended is still counted as waiting")
		}
		if err := e.Start(t.Context(), id); err != nil { // nothing holds it any more
			t.Fatal(err)
		}
	})
}

func TestDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := setup(t, fake.Program{})
		e.Delay(fake.List, time.Hour)
		began := time.Now()
		if _, err := e.List(t.Context()); err != nil || time.Since(began) != time.Hour {
			t.Fatalf("List took %s: %v", time.Since(began), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := e.List(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("List: %v", err)
		}
		e.Delay(fake.List, 0)
		began = time.Now()
		if _, err := e.List(t.Context()); err != nil || time.Since(began) != 0 {
			t.Fatalf("List took %s: %v", time.Since(began), err)
		}
	})
}

// TestUnreachable: calls under way end, containers live on, and what happens
// meanwhile is seen afterwards.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := setup(t, fake.Program{Stubborn: true})
		e.OfferImage("bt/slow:1", fake.Offer{Takes: time.Hour})
		id := start(t, e)
		e.Hold(fake.Inspect)
		errs := make(chan error, 4)
		go func() { errs <- e.Watch(t.Context(), nil, func(runtime.Change) { t.Error("a change was told") }) }()
		go func() { errs <- e.Stop(t.Context(), id, runtime.StopSpec{Grace: time.Hour}) }()
		go func() { errs <- e.Pull(t.Context(), "bt/slow:1", nil) }()
		go func() {
			_, err := e.Inspect(t.Context(), id)
			errs <- err
		}()
		synctest.Wait()
		e.SetUnreachable(true)
		e.SetUnreachable(true)
		for range 4 {
			if err := <-errs; runtime.ReasonOf(err) != runtime.Unreachable {
				t.Errorf("a call under way: %v", err)
			}
		}
		if _, err := e.Info(t.Context()); runtime.ReasonOf(err) != runtime.Unreachable {
			t.Errorf("Info: %v", err)
		}
		if !e.Crash(id, 9) {
			t.Error("the container did not live on")
		}
		e.SetUnreachable(false)
		list, err := e.List(t.Context())
		if err != nil || len(list) != 1 || list[0].ExitCode != 9 {
			t.Errorf("once it is back: %+v, %v", list, err)
		}
	})
}

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
		if err := e.Pull(t.Context(), "bt/big:1", func(p runtime.PullProgress) { done = append(done, p.DoneBytes) }); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 4*time.Minute || !slices.Equal(done, []int64{0, 100, 200, 300, 400}) {
			t.Fatalf("the pull took %s and told %v", took, done)
		}
		e.OfferImage("bt/broken:1", fake.Offer{Takes: time.Minute, Fails: errPlanned})
		if err := e.Pull(t.Context(), "bt/broken:1", nil); !errors.Is(err, errPlanned) {
			t.Fatalf("Pull: %v", err)
		}
		if _, err := e.Image(t.Context(), "bt/broken:1"); runtime.ReasonOf(err) != runtime.ImageMissing {
			t.Fatalf("Image: %v", err)
		}
		e.DropImage("bt/big:1")
		if err := e.Pull(t.Context(), "bt/big:1", nil); runtime.ReasonOf(err) != runtime.ImageNotFound {
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
