package console_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func asClose(err error, to **websocket.CloseError) bool { return errors.As(err, to) }

// printer is the console's room of a scripted agent: one instance's record, and
// the streams of it.
type printer struct {
	mu      sync.Mutex
	changed chan struct{}
	record  string
	first   int64 // the oldest that is kept
	lines   []wire.ConsoleLineFrame
	state   wire.State
	states  int
	tail    string
	conns   map[*websocket.Conn]bool
	inputs  []wire.ConsoleInput
	reply   func(wire.ConsoleInput) *wire.ConsoleFrame // nil does; a frame without content says nothing
}

func newPrinter() *printer {
	return &printer{changed: make(chan struct{}), record: "r1", first: 1, conns: map[*websocket.Conn]bool{},
		state: wire.State{Phase: wire.PhaseReady, Actual: wire.ActualRunning}}
}

func (p *printer) change(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

func look[T any](p *printer, f func() T) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	return f()
}

// print adds n lines.
func (p *printer) print(n int) {
	p.change(func() {
		for range n {
			p.add(wire.ConsoleOut, fmt.Sprintf("line %d", p.last()+1))
		}
	})
}

func (p *printer) add(source wire.ConsoleSource, text string) {
	p.lines = append(p.lines, wire.ConsoleLineFrame{Seq: p.last() + 1, At: time.Unix(1, 0).UTC(), Source: source, Text: text})
}

func (p *printer) last() int64 { return p.first + int64(len(p.lines)) - 1 }

// forget drops the oldest lines.
func (p *printer) forget(n int) {
	p.change(func() { p.lines, p.first = p.lines[n:], p.first+int64(n) })
}

// again begins another record.
func (p *printer) again(record string) {
	p.change(func() { p.record, p.first, p.lines = record, 1, nil })
	p.drop()
}

// drop breaks all streams off.
func (p *printer) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.NetConn().Close()
	}
}

func (p *printer) streams() int { return look(p, func() int { return len(p.conns) }) }

func (p *printer) given() []wire.ConsoleInput {
	return look(p, func() []wire.ConsoleInput { return append([]wire.ConsoleInput(nil), p.inputs...) })
}

func (p *printer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/console") {
		http.NotFound(w, r)
		return
	}
	if r.Method == http.MethodPost {
		p.post(w, r)
		return
	}
	upgrader := websocket.Upgrader{}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	p.change(func() { p.conns[conn] = true })
	defer p.change(func() { delete(p.conns, conn) })
	gone := make(chan struct{})
	replies := make(chan wire.ConsoleFrame, 100)
	go func() {
		defer close(gone)
		p.read(conn, replies)
	}()
	p.send(conn, r.URL.Query().Get("after"), gone, replies)
	_ = conn.Close()
	<-gone
}

func (p *printer) post(w http.ResponseWriter, r *http.Request) {
	var in wire.ConsoleInput
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		w.WriteHeader(400)
		return
	}
	if said := p.take(in); said != nil && said.Error != nil {
		w.WriteHeader(problem.Code(said.Error.Code).Status())
		_ = json.NewEncoder(w).Encode(problem.New(problem.Code(said.Error.Code), "%s", said.Error.Message))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// take notes an input, and prints a command as the agent does.
func (p *printer) take(in wire.ConsoleInput) (said *wire.ConsoleFrame) {
	p.change(func() {
		p.inputs = append(p.inputs, in)
		if p.reply != nil {
			if said = p.reply(in); said != nil {
				return
			}
		}
		if in.Command != nil {
			p.add(wire.ConsoleIn, *in.Command)
		}
		said = &wire.ConsoleFrame{Done: in.Ref}
	})
	return said
}

func (p *printer) read(conn *websocket.Conn, replies chan<- wire.ConsoleFrame) {
	for {
		var in wire.ConsoleInput
		if conn.ReadJSON(&in) != nil {
			return
		}
		if said := p.take(in); said.Done != "" || said.Error != nil {
			replies <- *said
		}
	}
}

// send is a stream, as the wire has it.
func (p *printer) send(conn *websocket.Conn, after string, gone <-chan struct{}, replies <-chan wire.ConsoleFrame) {
	p.mu.Lock()
	record, at, states, tail := p.record, max(p.last()-wire.ConsoleBacklog, p.first-1), -1, ""
	if n, err := strconv.ParseInt(after, 10, 64); err == nil {
		at = n
	}
	hello := wire.ConsoleFrame{Record: record, Last: p.last()}
	p.mu.Unlock()
	frames := []wire.ConsoleFrame{hello}
	for {
		for _, f := range frames {
			if conn.WriteJSON(f) != nil {
				return
			}
		}
		p.mu.Lock()
		frames = nil
		if states != p.states {
			states = p.states
			state := p.state
			frames = append(frames, wire.ConsoleFrame{State: &state})
		}
		if at < p.first-1 {
			frames = append(frames, wire.ConsoleFrame{Missed: &wire.ConsoleMissed{From: at + 1, To: p.first - 1}})
			at = p.first - 1
		}
		if n := p.last() - at; n > 0 {
			n = min(n, 50) // of 4,000 bytes: a frame holds 256 KiB
			frames = append(frames, wire.ConsoleFrame{Lines: p.lines[at+1-p.first : at+1-p.first+n]})
			at += n
		}
		if tail != p.tail {
			tail = p.tail
			text := tail
			frames = append(frames, wire.ConsoleFrame{Tail: &text})
		}
		changed := p.changed
		p.mu.Unlock()
		if frames != nil {
			continue
		}
		select {
		case <-gone:
			return
		case f := <-replies:
			frames = append(frames, f)
		case <-changed:
		}
	}
}
