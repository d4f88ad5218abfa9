package console

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// sessionOver waits until nothing is recorded any more.
func (w *world) sessionOver() {
	w.t.Helper()
	c := w.room.of(one)
	runtimetest.Eventually(w.t, "the session to end", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.session != nil && c.session.isOver()
	})
}

func (w *world) listening(id runtime.ContainerID) {
	w.t.Helper()
	runtimetest.Eventually(w.t, "the console to be attached", func() bool { return w.engine.Listeners(id) == 1 })
}

func (w *world) print(id runtime.ContainerID, texts ...string) {
	w.t.Helper()
	for _, text := range texts {
		if !w.engine.Print(id, false, text) {
			w.t.Fatal("the container does not run")
		}
	}
}

func TestRunsAreRecorded(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program { return fake.Program{Says: "hello\n", Cries: "oh\n"} })
	id := w.run(false)
	w.print(id, "more\nand ")
	w.expect("hello", "oh", "more")
	w.engine.Crash(id, 3)
	w.expect("hello", "oh", "more", "and ")
	w.start(id) // at once
	w.expect("hello", "oh", "more", "and ", "hello", "oh")
	w.engine.Crash(id, 0)
	w.sessionOver()

	if err := w.engine.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	id = w.run(false) // another container
	w.expect("hello", "oh", "more", "and ", "hello", "oh", "hello", "oh")
	w.engine.Crash(id, 0)
	w.sessionOver()
	w.killed()
	w.room.Resume(w.look(id))
	w.expect("hello", "oh", "more", "and ", "hello", "oh", "hello", "oh")
	if n := w.engine.Calls(fake.Log); n > 6 {
		t.Errorf("the log was read %d times", n)
	}
}

// metered counts what is read of what one container prints.
type metered struct {
	*fake.Engine
	of   atomic.Value // its ContainerID
	read atomic.Int64
}

func (m *metered) Attach(ctx context.Context, id runtime.ContainerID) (runtime.Attachment, error) {
	a, err := m.Engine.Attach(ctx, id)
	if err != nil || m.of.Load() != id {
		return a, err
	}
	return meteredStream{a, &m.read}, nil
}

type meteredStream struct {
	runtime.Attachment
	bytes *atomic.Int64
}

func (s meteredStream) Read(p []byte) (int, bool, error) {
	n, stderr, err := s.Attachment.Read(p)
	s.bytes.Add(int64(n))
	return n, stderr, err
}

// While lines can't be recorded the container is not read on, beyond a pipe full;
// nothing is lost, and other instances don't notice.
func TestSlowDiskHoldsUpItsOwnContainer(t *testing.T) {
	t.Parallel()
	engine := &metered{Engine: fake.New(fake.Options{})}
	engine.AddImage("game:1", runtime.Image{}, nil)
	w := setupOn(t, engine)
	w.engine = engine.Engine
	id := w.create(false)
	engine.of.Store(id)
	w.start(id)
	c := w.room.of(one)
	c.mu.Lock() // as a disk that takes its time does
	var want []string
	for n := range 600 {
		text := fmt.Sprintf("%d %s", n, strings.Repeat("x", 8<<10))
		want = append(want, text)
		w.print(id, text+"\n")
	}
	runtimetest.Eventually(t, "the pipe to be full", func() bool { return engine.read.Load() >= pipeSize })

	const two = ident.Instance("00000002")
	spec := runtimetest.Spec("game:1")
	spec.Instance = two
	other, err := w.engine.Create(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	w.start(other)
	w.print(other, "all is well\n")
	runtimetest.Eventually(t, "the other one's line", func() bool {
		_, _, last, err := w.room.of(two).last()
		return err == nil && last == 1
	})
	if got := engine.read.Load(); got > 2*pipeSize+4*readSize { // one is on its way to the record
		t.Errorf("%d bytes are in memory", got)
	}
	c.mu.Unlock()
	w.expect(want...)
}

// The agent is killed after each line, while the container goes on; the next one
// has each line once.
func TestKilledAfterEachLine(t *testing.T) {
	t.Parallel()
	const n = 12
	for at := range n {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			id := w.run(false)
			var want []string
			say := func(i int) {
				want = append(want, fmt.Sprint("line ", i))
				w.print(id, want[len(want)-1]+"\n")
			}
			for i := range at {
				say(i)
			}
			w.expect(want...)
			w.killed()
			for i := at; i < n; i++ {
				say(i) // nobody listens
			}
			w.room.Resume(w.look(id))
			w.listening(id)
			w.expect(want...)
			say(n)
			w.expect(want...)
		})
	}
}

// Somebody else restarts a container: it runs again, and is found to, while the end
// of its last run is still being read.
func TestRunsAgainWhileItsEndIsRead(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.run(false)
	w.print(id, "one\n")
	w.expect("one")
	release := w.engine.Hold(fake.Log)
	w.engine.Crash(id, 0)
	runtimetest.Eventually(t, "its end to be read", func() bool { return w.engine.Waiting(fake.Log) == 1 })
	if err := w.engine.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	w.room.resume(w.look(id))
	release()
	w.listening(id)
	w.print(id, "two\n")
	w.expect("one", "two")
}

// A container that is held for its program's next life is listened to through both.
func TestNextLifeInTheSameRun(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.run(false)
	w.listening(id)
	w.print(id, "one\n")
	w.expect("one")
	before := w.room.of(one).session
	box := w.look(id)
	box.Status, box.Held, box.FinishedAt = runtime.Exited, true, time.Now()
	w.print(id, "prompt> ")
	w.room.Settle(box)
	w.room.Begin(t.Context(), box)
	if after := w.room.of(one).session; after != before || !after.attached() {
		t.Error("it was let go of")
	}
	w.print(id, "two\n")
	w.expect("one", "prompt> ", "two")
}

// What a program printed in haste before its end comes before what is said of it.
func TestHasteBeforeTheEnd(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.run(false)
	w.listening(id)
	const lines = 3_000
	var text strings.Builder
	for n := range lines {
		fmt.Fprintln(&text, "line", n)
	}
	printed := make(chan struct{})
	go func() { defer close(printed); w.print(id, text.String()) }()
	runtimetest.Eventually(t, "it prints", func() bool { return len(w.texts()) > 0 })
	box := w.look(id)
	box.Status, box.Held = runtime.Exited, true
	w.room.Settle(box)
	w.room.Say(one, "Ended.")
	<-printed
	runtimetest.Eventually(t, "it is all there", func() bool { return slices.Contains(w.texts(), fmt.Sprint("line ", lines-1)) })
	if got := w.texts(wire.ConsoleOut, wire.ConsoleBerth); len(got) < 2 || got[len(got)-1] != "Ended." || got[len(got)-2] != fmt.Sprint("line ", lines-1) {
		t.Errorf("the record ends with %q", got[max(0, len(got)-3):])
	}
}

// What is printed just while the agent comes back is in the log and on the stream.
func TestPrintedWhileItComesBack(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.run(false)
	var want []string
	more, stopped := make(chan int), make(chan struct{})
	go func() {
		defer close(stopped)
		for n := range more { // so that it never gets ahead by more than a record holds
			for range n {
				line := fmt.Sprintf("line %d", len(want))
				want = append(want, line)
				w.engine.Print(id, false, line+"\n")
				if len(want)%50 == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		}
	}()
	for range 5 {
		before := len(w.texts())
		more <- 5000
		runtimetest.Eventually(t, "some lines", func() bool { return len(w.texts()) > before+100 })
		w.killed()
		w.room.Resume(w.look(id))
		w.listening(id)
		before = len(w.texts())
		more <- 500
		runtimetest.Eventually(t, "the lines to go on", func() bool { return len(w.texts()) > before })
	}
	close(more)
	<-stopped
	w.expect(want...)
}

func TestEndedWhileNobodyLooked(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.run(false)
	w.print(id, "before\n")
	w.expect("before")
	w.killed()
	w.print(id, "meanwhile\n", "unended")
	w.engine.Crash(id, 1)
	w.room.Resume(w.look(id))
	w.expect("before", "meanwhile", "unended")
	w.sessionOver()
	if !w.room.of(one).complete(id) {
		t.Error("the record is not said to be complete")
	}
	w.room.Resume(w.look(id)) // nothing to do
	w.start(id)
	w.print(id, "again\n")
	w.expect("before", "meanwhile", "unended", "again")
}

// A run that the agent never saw at all is caught up before the next one.
func TestBeginCatchesUp(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.create(false)
	if err := w.engine.Start(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	w.print(id, "unseen\n")
	w.engine.Crash(id, 0)
	w.start(id)
	w.print(id, "seen\n")
	w.expect("unseen", "seen")
}

// The stream breaks though the container lives on.
func TestStreamBreaks(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.run(false)
	var want []string
	for i := range 4 {
		line := fmt.Sprint("line ", i)
		w.print(id, line+"\n")
		want = append(want, line)
		w.expect(want...)
		w.engine.Detach(id)
		w.print(id, line+" unheard\n")
		want = append(want, line+" unheard")
	}
	w.listening(id)
	w.expect(want...)
}

// While the engine is away nothing is concluded, and the next Resume goes on.
func TestEngineAway(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.run(false)
	w.print(id, "one\n")
	w.expect("one")
	w.engine.SetUnreachable(true)
	w.sessionOver()
	w.engine.Print(id, false, "two\n")
	if w.room.of(one).complete(id) {
		t.Error("the record is said to be complete")
	}
	w.engine.SetUnreachable(false)
	w.room.Resume(w.look(id))
	w.expect("one", "two")
	w.listening(id)
}

// A log that fails is read again; one that was rotated gives what is left.
func TestLogFails(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.run(false)
	w.print(id, "one\n")
	w.expect("one")
	w.killed()
	w.print(id, "gone\n")
	w.engine.Rotate(id)
	w.print(id, "two\n")
	w.engine.FailNext(fake.Log, errors.New("broken pipe"))
	w.engine.FailNext(fake.Attach, errors.New("no streams left"))
	w.engine.FailNext(fake.Inspect, nil)
	box := w.look(id)
	w.engine.FailNext(fake.Inspect, errors.New("strange answer"))
	w.room.Resume(box)
	w.expect("one", "two")
}

// A start that fails leaves the console attached for the next one.
func TestStartFails(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.create(false)
	for range 3 {
		w.engine.FailNext(fake.Start, errors.New("no"))
		w.room.Begin(t.Context(), w.look(id))
		if err := w.engine.Start(t.Context(), id); err == nil {
			t.Fatal("it started")
		}
	}
	w.start(id)
	w.listening(id)
	w.print(id, "up\n")
	w.expect("up")
	if n := w.engine.Calls(fake.Attach); n != 1 {
		t.Errorf("it was attached %d times", n)
	}
}

// An attach that fails delays nothing, and loses nothing.
func TestAttachFails(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.engine.SetProgram(func(runtime.ContainerSpec) fake.Program { return fake.Program{Says: "early\n"} })
	w.engine.FailNext(fake.Attach, errors.New("no"))
	id := w.run(false)
	w.print(id, "one\n")
	w.listening(id)
	w.expect("early", "one")
}

func TestTails(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.run(true)
	c := w.dial("")
	tail := func(want string) {
		t.Helper()
		c.until("tail "+want, func(wire.ConsoleFrame) bool { return c.tail == want })
	}
	w.print(id, "login: ")
	tail("login: ")
	w.print(id, "bob\nPassword: ")
	c.line("login: bob")
	tail("Password: ")
	w.room.Say(one, "a word in between")
	c.line("a word in between")
	tail("Password: ") // shown again
	late := w.dial("")
	late.until("the tail", func(f wire.ConsoleFrame) bool { return f.Tail != nil && *f.Tail == "Password: " })
	w.print(id, "\r10%\r20%")
	tail("20%")
	w.engine.Crash(id, 0)
	c.line("20%")
	w.expect("login: bob", "20%")
}

func TestWords(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.states.set(one, wire.ActualStopped)
	w.room.Say(one, "Starting.")
	install := w.room.Install(one)
	for _, text := range []string{"Down", "loading\nUnpack", "ing\r\ndone"} {
		if _, err := install.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := install.Close(); err != nil {
		t.Fatal(err)
	}
	if got := w.texts(wire.ConsoleInstall); !slices.Equal(got, []string{"Downloading", "Unpacking", "done"}) {
		t.Errorf("the installation said %q", got)
	}
	if got := w.texts(wire.ConsoleBerth); !slices.Equal(got, []string{"Starting."}) {
		t.Errorf("the agent said %q", got)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.run(false)
	w.print(id, "before\n")
	w.expect("before")
	since := time.Now()
	time.Sleep(2 * time.Millisecond)
	w.print(id, "recorded\n")
	w.expect("before", "recorded")
	var mine []string
	lines := make(chan string, 10)
	stop := w.room.Watch(one, since, func(text string) { lines <- text })
	mine = append(mine, <-lines)
	w.room.Say(one, "not printed")
	w.print(id, "coming\n")
	mine = append(mine, <-lines)
	stop()
	w.print(id, "unwatched\n")
	w.expect("before", "recorded", "coming", "unwatched")
	if !slices.Equal(mine, []string{"recorded", "coming"}) || len(lines) > 0 {
		t.Errorf("it saw %q and %d more", mine, len(lines))
	}
}

func TestRemoveAndKeep(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.run(false)
	w.print(id, "one\n")
	w.expect("one")
	c := w.dial("")
	w.states.set(one, "")
	w.room.Remove(one)
	<-drained(c)
	if _, err := os.Stat(filepath.Join(w.options.Dir, string(one))); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its record is there: %v", err)
	}
	w.room.Say(one, "another of the same name")
	if got := w.texts(wire.ConsoleBerth, wire.ConsoleOut); len(got) != 1 {
		t.Errorf("a new one begins with %q", got)
	}
	for _, name := range []string{"00000002", "00000003", "not-ours"} {
		if err := os.MkdirAll(filepath.Join(w.options.Dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w.room.Keep([]ident.Instance{"00000002"})
	names, err := os.ReadDir(w.options.Dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, n := range names {
		left = append(left, n.Name())
	}
	if !slices.Equal(left, []string{"00000001", "00000002", "not-ours"}) {
		t.Errorf("kept were %q", left)
	}
}

// drained gives a channel that is closed once the connection has ended.
func drained(c *client) <-chan struct{} {
	go func() {
		for range c.frames {
		}
	}()
	return c.closed
}
