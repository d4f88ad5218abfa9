package console

import (
	"bytes"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// yard is a Room on a real Docker Engine.
type yard struct {
	*world
	docker *docker.Engine
	image  string
}

func newYard(t testing.TB) *yard {
	t.Helper()
	host, node := runtimetest.DockerHost(t), runtimetest.NewNode()
	runtimetest.CleanDocker(t, host, node)
	engine, err := docker.New(docker.Options{Host: host, Node: node})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() })
	y := &yard{docker: engine, image: "bt/console-" + string(ident.NewInstance()) + ":1"}
	runtimetest.LoadProbe(t, engine, y.image)
	y.world = setupOn(t, engine)
	return y
}

// run makes and starts a container as an instance's owner does.
func (y *yard) run(tty bool, steps ...string) runtime.ContainerID {
	y.t.Helper()
	spec := runtimetest.Spec(y.image, steps...)
	spec.Instance, spec.TTY = one, tty
	id, err := y.docker.Create(y.t.Context(), spec)
	if err != nil {
		y.t.Fatal(err)
	}
	y.start(id)
	return id
}

func (y *yard) start(id runtime.ContainerID) {
	y.t.Helper()
	y.room.Begin(y.t.Context(), y.inspect(id))
	if err := y.docker.Start(y.t.Context(), id); err != nil {
		y.t.Fatal(err)
	}
	y.states.set(one, wire.ActualRunning)
}

func (y *yard) inspect(id runtime.ContainerID) runtime.Container {
	y.t.Helper()
	c, err := y.docker.Inspect(y.t.Context(), id)
	if err != nil {
		y.t.Fatal(err)
	}
	return c
}

func (y *yard) remove(id runtime.ContainerID) {
	y.t.Helper()
	if err := y.docker.Remove(y.t.Context(), id); err != nil {
		y.t.Fatal(err)
	}
}

// paced is the number in a line of the probe's "pace".
func paced(text string) (n int) {
	_, _ = fmt.Sscanf(text, "line %d ", &n)
	return n
}

// Fifty thousand lines within a second reach one reader whole.
func TestBurst(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.states.set(one, wire.ActualStopped)
	c := y.dialQuietly("") // read without decoding, which would take most of the time
	const n = 50_000
	y.run(false, "pace", fmt.Sprint(n), fmt.Sprint(n))
	if err := c.conn.SetReadDeadline(time.Now().Add(2 * runtimetest.Patience)); err != nil {
		t.Fatal(err)
	}
	for next := 1; next <= n; {
		_, frame, err := c.conn.ReadMessage()
		if err != nil || len(frame) > wire.ConsoleFrameMax || bytes.Contains(frame, []byte(`"missed":`)) {
			t.Fatalf("before line %d: %v, %.100s", next, err, frame)
		}
		for {
			want := fmt.Sprintf(`{"seq":%d,`, next)
			_, line, more := bytes.Cut(frame, []byte(`{"seq":`))
			if !more {
				break
			}
			text := fmt.Sprintf(`"source":"out","text":"line %d ....`, next)
			if !bytes.HasPrefix(line, []byte(want[len(`{"seq":`):])) || !bytes.Contains(line[:min(len(line), 200)], []byte(text)) {
				t.Fatalf("line %d is %.160s", next, line)
			}
			frame, next = line, next+1
		}
	}
}

// A hundred look on, one of them takes nothing: the others get each line.
func TestCrowd(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.states.set(one, wire.ActualStopped)
	const n, readers = 2000, 99
	y.dialQuietly("") // and does not read
	var whole atomic.Int64
	for range readers {
		c := y.dialQuietly("")
		done := make(chan struct{})
		go func() {
			defer close(done)
			lines := 0
			for lines < n {
				_, text, err := c.conn.ReadMessage()
				if err != nil || bytes.Contains(text, []byte(`"missed":`)) {
					return
				}
				lines += bytes.Count(text, []byte(`{"seq":`))
			}
			if lines == n {
				whole.Add(1)
			}
		}()
		t.Cleanup(func() {
			_ = c.conn.Close()
			<-done
		})
	}
	y.run(false, "pace", fmt.Sprint(n), "1000")
	runtimetest.Eventually(t, "all to have it all", func() bool { return whole.Load() == readers })
}

// The agent is killed while a container prints; the next one has each line once,
// and a reader that comes back with its last number gets each line once.
func TestKilledWhileItPrints(t *testing.T) {
	t.Parallel()
	for _, tty := range []bool{false, true} {
		y := newYard(t)
		const n = 6000
		id := y.run(tty, "pace", fmt.Sprint(n), "3000")
		var seen []wire.ConsoleLineFrame
		record := ""
		for kill := range 3 {
			last, query := int64(0), "?after=0"
			if kill > 0 {
				last = seen[len(seen)-1].Seq
				query = fmt.Sprintf("?after=%d&record=%s", last, record)
			}
			c := y.dial(query)
			c.upTo(last + 800)
			if kill > 0 && record != c.record {
				t.Fatal("the record has another name")
			}
			record = c.record
			seen = append(seen, c.seen...)
			y.killed()
			y.room.Resume(y.inspect(id))
		}
		c := y.dial(fmt.Sprintf("?after=%d&record=%s", seen[len(seen)-1].Seq, record))
		c.upTo(n)
		for i, l := range append(seen, c.seen...) {
			if l.Seq != int64(i+1) || paced(l.Text) != i+1 {
				t.Fatalf("tty %v: line %d is %d %q", tty, i+1, l.Seq, l.Text)
			}
		}
	}
}

// The record outlives the container, and a run that ended while no agent was there
// is in it.
func TestRecreated(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	id := y.run(false, "say", `one\n`, "then", "exit", "3")
	y.expect("one")
	runtimetest.Eventually(t, "its end", func() bool { return y.inspect(id).Status == runtime.Exited })
	y.start(id)
	y.expect("one", "one")
	y.sessionOver()
	y.remove(id)
	id = y.run(false, "wait", "1500", "then", "say", `two\n`)
	y.killed()
	runtimetest.Eventually(t, "the end of the second", func() bool { return y.inspect(id).Status == runtime.Exited })
	y.room.Resume(y.inspect(id))
	y.expect("one", "one", "two")
	y.sessionOver()
	y.remove(id)
	y.run(false, "say", `three\n`)
	y.expect("one", "one", "two", "three")
}

func TestBytesAndStreams(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	long := strings.Repeat("0123456789", 3000)
	id := y.run(false, "say", `\xff\x00\x1b[31mred\n`+long+`\n10%\r20%\n`, "then", "cry", `on stderr`, "then", "wait", "300")
	want := []string{"\ufffd\x00\x1b[31mred", long[:wire.ConsoleLine], long[wire.ConsoleLine:], "20%", "on stderr"}
	y.expect(want...)
	runtimetest.Eventually(t, "its end", func() bool { return y.inspect(id).Status == runtime.Exited })
	y.sessionOver()
	y.room.Remove(one) // and once more, from the engine's log
	y.room.Resume(y.inspect(id))
	y.expect(want...)
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	y.run(true, "say", `Name? `, "then", "answer")
	c := y.dial("")
	c.until("the prompt", func(wire.ConsoleFrame) bool { return c.tail == "Name? " })
	c.send(wire.ConsoleInput{Ref: "size", Size: &wire.ConsoleSize{Rows: 30, Columns: 90}})
	c.until("the size", func(f wire.ConsoleFrame) bool { return f.Done == "size" })
	c.send(command("1", "Bob"))
	c.line("Bob") // what was given
	c.line("you said Bob")
	c.send(command("2", "stop"))
	y.sessionOver()
}
