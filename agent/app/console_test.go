package app

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// onlooker is one who looks on an instance's console, as the controller does.
type onlooker struct {
	t      *testing.T
	conn   *websocket.Conn
	record string
	lines  []wire.ConsoleLineFrame
	states []wire.Actual
}

func (a *agent) look(id ident.Instance, query string) *onlooker {
	a.t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: a.tls.Clone()}
	address := "wss://" + a.app.Addr().String() + wire.PathInstances + "/" + string(id) + "/console" + query
	conn, _, err := dialer.DialContext(a.t.Context(), address, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { _ = conn.Close() })
	return &onlooker{t: a.t, conn: conn}
}

// until reads frames until ok.
func (l *onlooker) until(what string, ok func() bool) {
	l.t.Helper()
	for !ok() {
		if err := l.conn.SetReadDeadline(time.Now().Add(runtimetest.Patience)); err != nil {
			l.t.Fatal(err)
		}
		var f wire.ConsoleFrame
		if err := l.conn.ReadJSON(&f); err != nil {
			l.t.Fatalf("waiting for %s: %v; it has %q", what, err, l.texts())
		}
		if f.Record != "" {
			l.record = f.Record
		}
		if f.State != nil {
			l.states = append(l.states, f.State.Actual)
		}
		l.lines = append(l.lines, f.Lines...)
	}
}

func (l *onlooker) texts() []string {
	var all []string
	for _, line := range l.lines {
		all = append(all, string(line.Source)+": "+line.Text)
	}
	return all
}

func (l *onlooker) line(text string) {
	l.t.Helper()
	l.until(text, func() bool { return slices.Contains(l.texts(), text) })
}

// A console through the agent's door: what the agent says, what the program prints
// and is told, over restarts of the agent and of the instance, each line once; and
// nothing is left of it in the end.
func TestConsoleOnDocker(t *testing.T) {
	t.Parallel()
	n := setup(t)
	a := n.run(n.config, nil)
	id, port := ident.NewInstance(), runtimetest.FreePort(t)
	s := spec(id, 1, n.probe, port)
	s.Image.Command = []string{"say", `ready\n`, "then", "answer"}
	a.apply(s)
	a.settled(id, 1)
	l := a.look(id, "?after=0")
	l.line("out: ready")
	text := "hello"
	if err := l.conn.WriteJSON(wire.ConsoleInput{Ref: "1", Command: &text}); err != nil {
		t.Fatal(err)
	}
	l.line("out: you said hello")
	for _, want := range []string{"berth: Starting.", "berth: Running.", "out: ready", "in: hello"} {
		if !slices.Contains(l.texts(), want) {
			t.Errorf("%q is not among %q", want, l.texts())
		}
	}
	a.stop() // the reader is said goodbye
	if err := l.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	for err := error(nil); err == nil; { // what was on its way comes first
		var slow net.Error
		if _, _, err = l.conn.ReadMessage(); errors.As(err, &slow) && slow.Timeout() {
			t.Error("the console lives on without its agent")
		}
	}

	a = n.run(n.config, nil)
	again := a.look(id, fmt.Sprintf("?after=%d&record=%s", l.lines[len(l.lines)-1].Seq, l.record))
	// It may take a moment until the new agent has found the container.
	runtimetest.Eventually(t, "the command to be taken", func() bool {
		status, _ := a.call("POST", wire.PathInstances+"/"+string(id)+"/console", wire.ConsoleInput{Command: &text}, nil) // the answer is empty
		return status == 204
	})
	again.line("out: you said hello")
	if got := strings.Count(strings.Join(again.texts(), "\n"), "out: ready"); got != 0 || again.record != l.record {
		t.Errorf("the new agent repeats: %q of record %s, was %s", again.texts(), again.record, l.record)
	}

	s.Generation, s.Power.Want, s.Power.Order, s.Stop = 2, wire.WantStopped, 2, wire.Stop{Command: "stop", GraceSeconds: 30}
	a.apply(s)
	again.line("berth: Stopped.")
	again.until("the state", func() bool { return slices.Contains(again.states, wire.ActualStopped) })
	whole := a.look(id, "?after=0") // also of a stopped one
	whole.line("berth: Stopped.")
	for i, line := range whole.lines {
		if line.Seq != int64(i+1) {
			t.Fatalf("line %d has number %d", i+1, line.Seq)
		}
	}
	a.remove(id, 3)
	n.nothingLeft(id)
	runtimetest.Eventually(t, "the record to be gone", func() bool {
		_, err := os.Stat(filepath.Join(n.config.Data, "console", string(id)))
		return os.IsNotExist(err)
	})
}
