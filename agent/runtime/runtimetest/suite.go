package runtimetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
)

// Harness is what the suite needs of the engine that it tries. Each test gets a
// fresh one, whose node has made nothing yet.
type Harness struct {
	Engine runtime.Engine
	Beside runtime.Engine // of another node, on the same machine
	Away   runtime.Engine // one that nobody answers for

	Image    string        // the probe's image, which is there
	Pullable func() string // an image that is not there, and that a pull brings; made when it is asked for first
	Unknown  string        // an image that is not there, and that its registry does not have

	// BlindToOOM says that the engine may miss that memory ran out; only the
	// kill is sure then.
	BlindToOOM bool
	// Hand does what people do by hand.
	Hand Hand
	// Occupy gives a port of all addresses to a program outside containers,
	// until the test ends.
	Occupy func(t testing.TB, port uint16, protocol runtime.Protocol)
	// Address is where published ports are reached; "" when programs don't
	// really run.
	Address string
}

// Run tries an engine. fresh is called once for each test.
func Run(t *testing.T, fresh func(testing.TB) Harness) {
	t.Helper()
	for _, group := range []struct {
		name  string
		tests map[string]func(*testing.T, Harness)
	}{
		{"images", imageTests()},
		{"clearing", clearTests()},
		{"life", lifeTests()},
		{"by hand", handTests()},
		{"starting", startTests()},
		{"stopping", stopTests()},
		{"ports", portTests()},
		{"watching", watchTests()},
		{"files", fileTests()},
		{"console", consoleTests()},
		{"foreign", foreignTests()},
		{"networks", networkTests()},
		{"stats", statsTests()},
		{"away", awayTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for name, test := range group.tests {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(t, fresh(t))
				})
			}
		})
	}
}

// Spec is a small container of the probe that runs these steps.
func Spec(image string, steps ...string) runtime.ContainerSpec {
	instance := ident.NewInstance()
	return runtime.ContainerSpec{
		Name:        "bt-" + string(instance),
		Instance:    instance,
		Generation:  1,
		SpecHash:    "hash",
		Image:       image,
		Command:     steps,
		MemoryBytes: 64 << 20,
		NanoCPUs:    1e9,
		PidsLimit:   64,
		Hostname:    string(instance),
	}
}

// spec is a container of the harness's image.
func (h Harness) spec(steps ...string) runtime.ContainerSpec { return Spec(h.Image, steps...) }

// create makes a container and fails the test when that fails.
func create(t testing.TB, e runtime.Engine, spec runtime.ContainerSpec) runtime.ContainerID {
	t.Helper()
	id, err := e.Create(t.Context(), spec)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	return id
}

// start makes and starts a container.
func start(t testing.TB, e runtime.Engine, spec runtime.ContainerSpec) runtime.ContainerID {
	t.Helper()
	id := create(t, e, spec)
	if err := e.Start(t.Context(), id); err != nil {
		t.Fatalf("Start: %v", err)
	}
	return id
}

// ready starts a container that idles and waits until it listens to signals:
// its last step before idle writes a file.
func (h Harness) ready(t testing.TB, spec runtime.ContainerSpec) runtime.ContainerID {
	t.Helper()
	last := spec.Command
	spec.Command = append([]string{"write", "/tmp/begun", "yes", "then"}, last...)
	id := start(t, h.Engine, spec)
	Eventually(t, "the program to begin", func() bool {
		_, err := h.Engine.ReadFile(t.Context(), id, "/tmp/begun", 10)
		return err == nil
	})
	return id
}

func inspect(t testing.TB, e runtime.Engine, id runtime.ContainerID) runtime.Container {
	t.Helper()
	c, err := e.Inspect(t.Context(), id)
	if err != nil {
		t.Fatalf("Inspect: %v", err)
	}
	return c
}

// ended waits until a container is down by itself.
func ended(t testing.TB, e runtime.Engine, id runtime.ContainerID) runtime.Container {
	t.Helper()
	var c runtime.Container
	Eventually(t, "the container to end", func() bool {
		c = inspect(t, e, id)
		return c.Status == runtime.Exited
	})
	return c
}

// must fails the test on an error.
func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// refused fails the test unless err is a Failure with that reason and a
// sentence.
func refused(t testing.TB, what string, err error, want runtime.Reason) *runtime.Failure {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: no error, want %s", what, want)
	}
	var f *runtime.Failure
	if !errors.As(err, &f) {
		t.Fatalf("%s: %v is not a Failure, want %s", what, err, want)
	}
	if f.Reason != want {
		t.Fatalf("%s: %s (%v), want %s", what, f.Reason, err, want)
	}
	if f.Message == "" {
		t.Fatalf("%s: a failure without a sentence", what)
	}
	return f
}

// nothing fails the test if the node has any container.
func nothing(t testing.TB, e runtime.Engine) {
	t.Helper()
	list, err := e.List(t.Context())
	must(t, "List", err)
	if len(list) != 0 {
		t.Fatalf("%d containers are there, want none: %+v", len(list), list)
	}
}

// within is a context that ends with the test, or much later than any call
// should take.
func within(t testing.TB) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), Patience)
}

const grace = 30 * time.Second // of a Stop that is not meant to reach it
