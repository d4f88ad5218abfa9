package app

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/enrol"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func spec(id ident.Instance, generation int64, reference string, port uint16) wire.Spec {
	return wire.Spec{
		Instance: id, Generation: generation, Image: wire.ImageSpec{Reference: reference}, Volume: "/app/data",
		Limits: wire.Limits{MemoryMiB: 64, NanoCPUs: 5e8, DiskMiB: 64}, Stop: wire.Stop{GraceSeconds: 10},
		Ports: []wire.Port{{IP: "127.0.0.1", Host: port, Container: 8080}}, Power: wire.Power{Want: wire.WantRunning, Order: generation},
	}
}

func TestWholeAgentOnAFakeEngine(t *testing.T) {
	t.Parallel()
	c := newController(t)
	node := runtimetest.NewNode()
	config := Config{Data: c.enrolled(node), NoDemo: true}
	engine := fake.New(fake.Options{Node: node})
	engine.AddImage("game:1", runtime.Image{}, nil)
	a := c.run(config, engine)

	var hello wire.Hello
	if _, err := a.call("GET", wire.PathHello, nil, &hello); err != nil || hello.Node != node || hello.Epoch == "" {
		t.Errorf("hello %+v, %v", hello, err)
	}
	id := ident.NewInstance()
	a.apply(spec(id, 1, "game:1", 25565))
	if s := a.settled(id, 1); s.Phase != wire.PhaseReady || s.Actual != wire.ActualRunning {
		t.Fatalf("state %+v", s)
	}
	bad := spec(id, 2, "game:1", 25565)
	bad.Volume = "/"
	if status, err := a.call("PUT", wire.PathInstances+"/"+string(id), bad, nil); status != 422 || !problem.Is(err, problem.Validation) {
		t.Errorf("a bad spec: %d, %v", status, err)
	}

	other, err := New(config, Deps{Engine: engine})
	if err == nil || !strings.Contains(err.Error(), "another agent runs with this data directory") {
		t.Errorf("a second agent on the same directory: %v, %v", other, err)
	}

	starts := engine.Calls(fake.Start)
	a.stop()
	if engine.Find(id)[0].Status != runtime.Running {
		t.Error("the container ended with its agent")
	}
	a = c.run(config, engine)
	if h := a.inventory(); len(h) != 1 || h[0].Generation != 1 || h[0].State.Actual != wire.ActualRunning {
		t.Errorf("after a restart: %+v", h)
	}
	a.remove(id, 2)
	runtimetest.Eventually(t, "the tombstone is forgotten", func() bool { return len(a.inventory()) == 0 })
	if engine.Calls(fake.Start) != starts || len(engine.Containers()) != 0 {
		t.Error("it was started again, or something is left")
	}
}

func TestAgentThatIsNotEnrolled(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "missing")} {
		if _, err := New(Config{Data: dir}, Deps{}); !errors.Is(err, enrol.ErrNotEnrolled) {
			t.Errorf("it says %v", err)
		}
	}
}

func TestAgentThatCannotBegin(t *testing.T) {
	t.Parallel()
	c := newController(t)
	t.Run("damaged journal", func(t *testing.T) {
		t.Parallel()
		dir := c.enrolled("n")
		if err := os.WriteFile(filepath.Join(dir, "journal.db"), []byte(strings.Repeat("x", 1<<16)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{Data: dir}, Deps{Engine: fake.New(fake.Options{})}); err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("it says %v", err)
		}
	})
	t.Run("port in use", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = listener.Close() }()
		config := Config{Data: c.enrolled("n"), Listen: listener.Addr().String(), NoDemo: true}
		for range 2 { // the first one let go of the journal
			if _, err := New(config, Deps{Engine: fake.New(fake.Options{})}); err == nil || !strings.Contains(err.Error(), "listen for the controller") {
				t.Errorf("it says %v", err)
			}
		}
	})
	t.Run("no such engine address", func(t *testing.T) {
		t.Parallel()
		if _, err := New(Config{Data: c.enrolled("n"), DockerHost: "nonsense", Listen: "127.0.0.1:0"}, Deps{}); err == nil {
			t.Error("it began")
		}
	})
}

func TestListenerThatBreaksEndsTheAgent(t *testing.T) {
	t.Parallel()
	c := newController(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	app, err := New(Config{Data: c.enrolled("n"), NoDemo: true}, Deps{Engine: fake.New(fake.Options{}), Listener: listener})
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if err := app.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "serve the controller") {
		t.Errorf("it ended with %v", err)
	}
	if err := app.Close(); err != nil { // a second time
		t.Error(err)
	}
}
