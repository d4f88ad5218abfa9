package fake_test

import (
	"context"
	"errors"
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
		go func() { errs <- e.Stop(t.Context(), id, runtime.StopSpec{Grace: time.Hour}) }()
		synctest.Wait() // its signal is no news for who begins to watch
		go func() { errs <- e.Watch(t.Context(), nil, func(runtime.Change) { t.Error("a change was told") }) }()
		go func() { errs <- e.Pull(t.Context(), "bt/slow:1", runtime.Login{}, nil) }()
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
