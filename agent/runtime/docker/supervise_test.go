package docker_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/agent/supervisor"
	"github.com/berth-panel/berth/shared/ident"
)

// kept is a bench whose containers have our first process, and that watches.
type kept struct {
	bench
	node    ident.Node
	home    string // of the supervisor
	super   *supervisor.Supervisor
	mu      sync.Mutex
	changes []runtime.Change
}

func setupKept(t *testing.T) *kept {
	t.Helper()
	return setupKeptBehind(t, nil)
}

// setupKeptBehind has the engine behind a relay, if late is given.
func setupKeptBehind(t *testing.T, late func(request string) bool) *kept {
	t.Helper()
	k := &kept{bench: setup(t), node: runtimetest.NewNode(), home: t.TempDir()}
	runtimetest.CleanDocker(t, k.host, k.node)
	if late != nil {
		r := newRelay(t, k.host)
		r.late = late
		k.host = r.host
	}
	k.engine, k.super = k.agent(t)
	k.watch(t, k.engine)
	return k
}

// agent is the engine as an agent has it that is begun now. What it holds it holds for
// longer than a test takes, or a slow machine would let it go.
func (k *kept) agent(t *testing.T) (*docker.Engine, *supervisor.Supervisor) {
	t.Helper()
	super := runtimetest.Supervisor(t, k.home)
	e, err := docker.New(docker.Options{Host: k.host, Node: k.node, Supervisor: super})
	if err != nil {
		t.Fatal(err)
	}
	e.SetHold(runtimetest.Patience)
	t.Cleanup(func() { _ = e.Close() })
	return e, super
}

// watch notes all changes until the test ends.
func (k *kept) watch(t *testing.T, e *docker.Engine) {
	t.Helper()
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = e.Watch(t.Context(), func() { close(ready) }, func(c runtime.Change) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.changes = append(k.changes, c)
		})
	}()
	select {
	case <-ready:
	case <-ended:
		t.Fatal("the watch ended before it stood")
	}
	t.Cleanup(func() { <-ended })
}

// kinds are the changes of a container that were told, Other left out.
func (k *kept) kinds(id runtime.ContainerID) []runtime.ChangeKind {
	k.mu.Lock()
	defer k.mu.Unlock()
	var kinds []runtime.ChangeKind
	for _, c := range k.changes {
		if c.ID == id && c.Kind != runtime.Other {
			kinds = append(kinds, c.Kind)
		}
	}
	return kinds
}

func (k *kept) told(id runtime.ContainerID, kind runtime.ChangeKind) int {
	n := 0
	for _, told := range k.kinds(id) {
		if told == kind {
			n++
		}
	}
	return n
}

// say writes to the container's stdin.
func (k *kept) say(t *testing.T, id runtime.ContainerID, text string) {
	t.Helper()
	in, err := k.engine.Attach(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close() })
	if _, err := io.WriteString(in, text); err != nil {
		t.Fatal(err)
	}
}

// crash kills the program of a container.
func (k *kept) crash(t *testing.T, id runtime.ContainerID) {
	t.Helper()
	if err := syscall.Kill(k.program(t, id), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// program is the one child of the container's first process, once it is there.
func (k *kept) program(t *testing.T, id runtime.ContainerID) int {
	t.Helper()
	first := k.raws(t, id).State.Pid
	var children []int
	runtimetest.Eventually(t, "the program, and no others", func() bool {
		children = runtimetest.Children(t, first)
		return len(children) == 1
	})
	return children[0]
}

// again starts what has ended, and waits until it runs.
func (k *kept) again(t *testing.T, id runtime.ContainerID) runtime.Container {
	t.Helper()
	if err := k.engine.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	c := k.inspect(t, id)
	if c.Status != runtime.Running {
		t.Fatalf("started, it is %+v", c)
	}
	return c
}

func TestProgramBeginsAgainInItsContainer(t *testing.T) {
	t.Parallel()
	k := setupKept(t)
	id := k.start(t, k.spec("fork", "5", "/tmp/forks"))
	k.file(t, id, "/tmp/forks")
	before := k.inspect(t, id)
	for life := range 3 {
		k.crash(t, id) // what it has forked lives on
		down := k.ended(t, id)
		if down.ExitCode != 137 || down.OOMKilled || !down.Held || down.Pid != 0 || down.FinishedAt.Before(before.StartedAt) {
			t.Fatalf("crashed in life %d, it is %+v", life, down)
		}
		up := k.again(t, id)
		if up.Pid != before.Pid || !up.StartedAt.After(down.FinishedAt) || up.ExitCode != 0 {
			t.Fatalf("begun again it is %+v, in life %d it was %+v", up, life, before)
		}
		before.StartedAt = up.StartedAt
		k.program(t, id) // and what the last life has forked is gone
	}
	if is := k.raws(t, id); is.State.StartedAt == "" || is.RestartCount != 0 || is.State.Pid != before.Pid {
		t.Errorf("the engine has it as %+v", is.State)
	}
	if died, started := k.told(id, runtime.Died), k.told(id, runtime.Started); died != 3 || started != 4 {
		t.Errorf("%d ends and %d starts were told, want 3 and 4", died, started)
	}
	if err := k.engine.Stop(t.Context(), id, runtime.StopSpec{Grace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if down := k.inspect(t, id); down.Status != runtime.Exited || down.Held || down.StartedAt != before.StartedAt {
		t.Errorf("stopped, it is %+v", down)
	}
	if up := k.again(t, id); up.Pid == before.Pid || !up.StartedAt.After(before.StartedAt) {
		t.Errorf("started by the engine, it is %+v", up)
	}
}

// gated is a supervisor whose notes of an end are known before they return.
type gated struct {
	*supervisor.Supervisor
	gate chan struct{}
}

func (g gated) Note(container string, life supervisor.Life) error {
	err := g.Supervisor.Note(container, life)
	if life.Over {
		<-g.gate
	}
	return err
}

// TestStartedAsSoonAsItsEndIsKnown: whoever sees the end finds the container held.
func TestStartedAsSoonAsItsEndIsKnown(t *testing.T) {
	t.Parallel()
	k := setupKept(t)
	super := gated{runtimetest.Supervisor(t, t.TempDir()), make(chan struct{})}
	e, err := docker.New(docker.Options{Host: k.host, Node: k.node, Supervisor: super})
	if err != nil {
		t.Fatal(err)
	}
	e.SetHold(runtimetest.Patience)
	t.Cleanup(func() { _ = e.Close() })
	k.engine = e
	k.watch(t, e)
	id := k.start(t, k.spec("idle"))
	before := k.inspect(t, id)
	k.crash(t, id)
	k.ended(t, id)
	started := make(chan error, 1)
	go func() { started <- e.Start(t.Context(), id) }()
	time.AfterFunc(100*time.Millisecond, func() { close(super.gate) }) // either order has to be right
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if up := k.inspect(t, id); up.Status != runtime.Running || up.Pid != before.Pid {
		t.Errorf("started it is %+v, before it was %+v", up, before)
	}
}

// TestEndsBeforeItsStartIsTold is about a program that has ended, and said so, before
// the engine tells that it started: who watches hears of both in their order.
func TestEndsBeforeItsStartIsTold(t *testing.T) {
	t.Parallel()
	k := setupKeptBehind(t, func(request string) bool { return strings.Contains(request, "/events?") })
	id := k.start(t, k.spec("exit", "3"))
	if c := k.ended(t, id); !c.Held {
		t.Fatalf("it isn't held: %+v", c)
	}
	k.again(t, id)
	k.ended(t, id)
	want := []runtime.ChangeKind{runtime.Started, runtime.Died, runtime.Started, runtime.Died}
	runtimetest.Eventually(t, "all to be told", func() bool { return len(k.kinds(id)) >= len(want) })
	if got := k.kinds(id); !slices.Equal(got, want) {
		t.Errorf("the changes were %v, want %v", got, want)
	}
}

// TestNobodyStartsItAgain is the way that all containers end.
func TestNobodyStartsItAgain(t *testing.T) {
	t.Parallel()
	k := setupKept(t)
	k.engine.SetHold(100 * time.Millisecond)
	id := k.start(t, k.spec("exit", "9"))
	k.ended(t, id)
	runtimetest.Eventually(t, "the engine to see its end", func() bool { return !k.raws(t, id).State.Running })
	if is := k.inspect(t, id); is.Status != runtime.Exited || is.ExitCode != 9 || is.Held || k.raws(t, id).State.ExitCode != 9 {
		t.Errorf("it is %+v", is)
	}
	k.again(t, k.start(t, k.spec("idle"))) // told in order: what was before is known by now
	if n := k.told(id, runtime.Died); n != 1 {
		t.Errorf("its end was told %d times", n)
	}
}

// TestPausedWhileItIsHeld is about somebody who pauses a container that has but its
// first process.
func TestPausedWhileItIsHeld(t *testing.T) {
	t.Parallel()
	k := setupKept(t)
	id := k.start(t, k.spec("idle"))
	k.crash(t, id)
	k.ended(t, id)
	runtimetest.DockerHand(k.host).Pause(t, id)
	if c := k.inspect(t, id); c.Status != runtime.Exited {
		t.Errorf("paused it is %+v", c)
	}
	k.again(t, id)
	k.program(t, id)
	if died, started := k.told(id, runtime.Died), k.told(id, runtime.Started); died != 1 || started != 2 {
		t.Errorf("%d ends and %d starts were told, want 1 and 2", died, started)
	}
}

// TestAgentRestartsWhileItIsHeld is about an end that was told to an agent that has
// gone since: the next one knows of it, whatever the engine says yet.
func TestAgentRestartsWhileItIsHeld(t *testing.T) {
	t.Parallel()
	k := setupKept(t)
	id := k.start(t, k.spec("idle"))
	k.crash(t, id)
	before := k.ended(t, id)
	_ = k.engine.Close()
	second, _ := k.agent(t)
	list, err := second.List(t.Context())
	if err == nil && len(list) == 1 {
		list[0].Held = true // or not any more: its caller has hung up
	}
	if err != nil || len(list) != 1 || list[0] != before {
		t.Errorf("the next agent has it as\n%+v, %v, want\n%+v", list, err, before)
	}
	if err := second.Start(t.Context(), id); err != nil { // once it is down
		t.Fatal(err)
	}
	if c, err := second.Inspect(t.Context(), id); err != nil || c.Status != runtime.Running || !c.StartedAt.After(before.FinishedAt) {
		t.Errorf("started it is %+v, %v", c, err)
	}
}

func TestStopsWhileItIsHeld(t *testing.T) {
	t.Parallel()
	k := setupKept(t)
	for name, end := range map[string]func(runtime.ContainerID) error{
		"stop": func(id runtime.ContainerID) error {
			return k.engine.Stop(t.Context(), id, runtime.StopSpec{Grace: time.Minute})
		},
		"kill":   func(id runtime.ContainerID) error { return k.engine.Kill(t.Context(), id) },
		"remove": func(id runtime.ContainerID) error { return k.engine.Remove(t.Context(), id) },
	} {
		id := k.start(t, k.spec("answer"))
		k.say(t, id, "stop\n")
		k.ended(t, id)
		if err := end(id); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c, err := k.engine.Inspect(t.Context(), id)
		if gone := runtime.ReasonOf(err) == runtime.Missing; gone != (name == "remove") || !gone && (c.Status != runtime.Exited || c.Held) {
			t.Errorf("after %s it is %+v, %v", name, c, err)
		}
	}
}

// TestAskedToStopItEnds is about a program that ends because it was asked to: what
// the engine tells of it comes in its order, the signal first.
func TestAskedToStopItEnds(t *testing.T) {
	t.Parallel()
	k := setupKept(t)
	id := k.start(t, k.spec("idle"))
	runtimetest.DockerHand(k.host).Stop(t, id)
	if c := k.inspect(t, id); c.Status != runtime.Exited || c.Held { // with any code: it may not listen to signals yet
		t.Errorf("stopped by hand it is %+v", c)
	}
	if err := k.engine.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := k.engine.Stop(t.Context(), id, runtime.StopSpec{Command: "stop", Grace: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if c := k.inspect(t, id); c.Status != runtime.Exited || c.Held || c.ExitCode != 0 {
		t.Errorf("stopped by its command it is %+v", c)
	}
}

func TestWantOfMemoryEndsTheContainer(t *testing.T) {
	t.Parallel()
	k := setupKept(t)
	spec := k.spec("wait", "200", "then", "hog", "512")
	spec.MemoryBytes = 32 << 20
	id := k.start(t, spec)
	if c := k.ended(t, id); c.ExitCode != 137 || c.Held || k.raws(t, id).State.Running {
		t.Errorf("it is %+v", c)
	}
}

// TestAnotherAgentKnowsTheLife is about an agent that is restarted.
func TestAnotherAgentKnowsTheLife(t *testing.T) {
	t.Parallel()
	k := setupKept(t)
	id := k.start(t, k.spec("idle"))
	k.crash(t, id)
	k.ended(t, id)
	before := k.again(t, id)
	_ = k.super.Close()

	second, _ := k.agent(t)
	if c, err := second.Inspect(t.Context(), id); err != nil || c != before {
		t.Errorf("another agent has it as\n%+v, %v, want\n%+v", c, err, before)
	}
	// Nobody watches through the second: whoever calls it is hung up on.
	k.crash(t, id)
	runtimetest.Eventually(t, "the engine to see its end", func() bool { return !k.raws(t, id).State.Running })
	if c, err := second.Inspect(t.Context(), id); err != nil || c.ExitCode != 137 || c.Held || !c.FinishedAt.After(before.StartedAt) || c.StartedAt != before.StartedAt {
		t.Errorf("ended it is %+v, %v", c, err)
	}
}

// TestAgentAway is about a container that has nobody to ask.
func TestAgentAway(t *testing.T) {
	t.Parallel()
	k := setupKept(t)
	id := k.start(t, k.spec("idle"))
	_ = k.super.Close()
	k.crash(t, id)
	runtimetest.Eventually(t, "the engine to see its end", func() bool { return !k.raws(t, id).State.Running })
	if c := k.inspect(t, id); c.ExitCode != 137 || c.Held || c.OOMKilled {
		t.Errorf("it is %+v", c)
	}
	k.again(t, id)
}

// TestTerminalOfTheNextLife is about a program at a terminal, which it must be before.
func TestTerminalOfTheNextLife(t *testing.T) {
	t.Parallel()
	k := setupKept(t)
	spec := k.spec("size")
	spec.TTY = true
	id := k.start(t, spec)
	in, err := k.engine.Attach(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var heard bytes.Buffer
	read := make(chan struct{})
	go func() {
		defer close(read)
		for p := make([]byte, 4096); ; {
			n, _, err := in.Read(p)
			mu.Lock()
			heard.Write(p[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = in.Close(); <-read })
	for life, size := range []string{"size 30 90", "size 31 91", "size 32 92"} {
		if err := k.engine.Resize(t.Context(), id, uint16(30+life), uint16(90+life)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(in, "?\n"); err != nil {
			t.Fatal(err)
		}
		runtimetest.Eventually(t, size, func() bool { mu.Lock(); defer mu.Unlock(); return bytes.Contains(heard.Bytes(), []byte(size)) })
		if _, err := io.WriteString(in, "stop\n"); err != nil {
			t.Fatal(err)
		}
		if c := k.ended(t, id); !c.Held {
			t.Fatalf("it is %+v", c)
		}
		k.muted(t, id, true) // as a program leaves it that draws its own prompt
		k.again(t, id)
		k.program(t, id)
		if k.muted(t, id, false) {
			t.Error("the next life has a terminal that doesn't echo")
		}
	}
}

// muted says whether a container's terminal doesn't echo, and has it so when asked to.
func (k *kept) muted(t *testing.T, id runtime.ContainerID, mute bool) bool {
	t.Helper()
	terminal, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/0", k.raws(t, id).State.Pid), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = terminal.Close() }()
	is, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if mute {
		is.Lflag &^= unix.ECHO
		if err := unix.IoctlSetTermios(int(terminal.Fd()), unix.TCSETS, is); err != nil {
			t.Fatal(err)
		}
	}
	return is.Lflag&unix.ECHO == 0
}
