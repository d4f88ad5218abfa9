package fake

import (
	"bytes"
	"context"
	"io"
	"os"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
)

// logged is one part of a container's log.
type logged struct {
	at     time.Time
	stderr bool
	text   string
}

// streams are what a container prints and reads. The machine's mutex guards
// them, but for what is inside an attachment.
type streams struct {
	log       []logged
	unended   [2][]byte // of a line that isn't logged yet: stdout's, stderr's
	typed     []byte    // of a line that came to stdin
	listeners map[*attachment]struct{}
	deaf      bool // nobody reads stdin
	size      [2]uint16
	forgotten int // parts at the log's beginning
}

// attachment is one that listens.
type attachment struct {
	engine *Engine
	id     runtime.ContainerID

	mu       sync.Mutex
	news     chan struct{} // holds one when there is something to read
	waiting  []logged
	ended    error
	deadline time.Time
}

// Attach opens a container's streams.
func (e *Engine) Attach(ctx context.Context, id runtime.ContainerID) (runtime.Attachment, error) {
	if err := e.enter(ctx, Attach); err != nil {
		return nil, err
	}
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	b, err := e.own(id)
	if err != nil {
		return nil, err
	}
	a := &attachment{engine: e, id: id, news: make(chan struct{}, 1)}
	if b.listeners == nil {
		b.listeners = map[*attachment]struct{}{}
	}
	b.listeners[a] = struct{}{}
	return a, e.leave(Attach)
}

func (a *attachment) Read(p []byte) (int, bool, error) {
	gone := a.engine.gone()
	for {
		if n, stderr, err := a.take(p); n > 0 || err != nil {
			return n, stderr, err
		}
		select {
		case <-a.news:
		case <-gone:
			a.end(io.EOF)
		}
	}
}

func (a *attachment) take(p []byte) (int, bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) == 0 {
		return 0, false, a.ended
	}
	first := &a.waiting[0]
	stderr := first.stderr
	n := copy(p, first.text)
	if first.text = first.text[n:]; first.text == "" {
		a.waiting = a.waiting[1:]
	}
	return n, stderr, nil
}

func (a *attachment) give(l logged) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended == nil && l.text != "" {
		a.waiting = append(a.waiting, l)
		a.ring()
	}
}

func (a *attachment) end(why error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ended == nil {
		a.ended = why
	}
	a.ring()
}

func (a *attachment) ring() {
	select {
	case a.news <- struct{}{}:
	default:
	}
}

// Write is read by the program, line by line.
func (a *attachment) Write(p []byte) (int, error) {
	a.mu.Lock()
	deadline, ended := a.deadline, a.ended
	a.mu.Unlock()
	if ended != nil {
		return 0, io.ErrClosedPipe
	}
	m := a.engine.machine
	m.mu.Lock()
	b := m.boxes[a.id]
	deaf := b != nil && b.deaf
	if b != nil && !deaf {
		m.hear(b, p)
	}
	m.mu.Unlock()
	if !deaf {
		return len(p), nil
	}
	if wait := deadline.Sub(m.now()); !deadline.IsZero() && wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		<-timer.C
	}
	return 0, os.ErrDeadlineExceeded
}

func (a *attachment) SetWriteDeadline(t time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deadline = t
	return nil
}

func (a *attachment) Close() error {
	m := a.engine.machine
	m.mu.Lock()
	if b := m.boxes[a.id]; b != nil {
		delete(b.listeners, a)
	}
	m.mu.Unlock()
	a.end(io.ErrClosedPipe)
	return nil
}

// hear lets the program read its stdin, under the mutex.
func (m *machine) hear(b *box, p []byte) {
	b.typed = append(b.typed, p...)
	for {
		line, rest, ok := bytes.Cut(b.typed, []byte("\n"))
		if !ok || !b.up() {
			return
		}
		b.typed = bytes.Clone(rest)
		text := string(line)
		b.lines = append(b.lines, text)
		if b.program.Answers != nil {
			m.print(b, false, b.program.Answers(text))
		}
		if code, ends := b.program.heard(text); ends && b.program.StopTakes > 0 {
			m.endIn(b, b.program.StopTakes, code, false)
		} else if ends {
			m.end(b, code, false)
		}
	}
}

// print lets a container print, under the mutex: who listens hears each byte, the
// log takes whole lines.
func (m *machine) print(b *box, stderr bool, text string) {
	if b.spec.TTY {
		stderr = false
	}
	for a := range b.listeners {
		a.give(logged{stderr: stderr, text: text})
	}
	which := 0
	if stderr {
		which = 1
	}
	b.unended[which] = append(b.unended[which], text...)
	for len(b.unended[which]) > 0 {
		whole := b.unended[which]
		size := bytes.IndexByte(whole, '\n') + 1
		if size == 0 || size > runtime.LogPartSize {
			if size = runtime.LogPartSize; len(whole) < size {
				return
			}
		}
		m.note(b, which, size)
	}
}

// note logs the beginning of what a stream has not ended.
func (m *machine) note(b *box, which, size int) {
	b.log = append(b.log, logged{m.now(), which == 1, string(b.unended[which][:size])})
	b.unended[which] = bytes.Clone(b.unended[which][size:])
}

// hush ends the streams of a run, under the mutex.
func (m *machine) hush(b *box) {
	for which := range b.unended {
		if len(b.unended[which]) > 0 {
			b.unended[which] = append(b.unended[which], '\n')
			m.note(b, which, len(b.unended[which]))
		}
	}
	b.typed = nil
	for a := range b.listeners {
		a.end(io.EOF)
	}
	b.listeners = nil
}

// Log reads a container's log.
func (e *Engine) Log(ctx context.Context, id runtime.ContainerID, which runtime.LogRange, handle func(runtime.LogPart) error) error {
	if err := e.enter(ctx, Log); err != nil {
		return err
	}
	e.machine.mu.Lock()
	b, err := e.own(id)
	var parts []logged
	if err == nil {
		for _, l := range b.log[min(len(b.log), b.forgotten):] {
			if !l.at.Before(which.Since) {
				parts = append(parts, l)
			}
		}
	}
	e.machine.mu.Unlock()
	if err != nil {
		return err
	}
	if which.Last > 0 && len(parts) > which.Last {
		parts = parts[len(parts)-which.Last:]
	}
	for _, l := range parts {
		if err := handle(runtime.LogPart{At: l.at, Stderr: l.stderr, Text: []byte(l.text)}); err != nil {
			return err
		}
	}
	return e.leave(Log)
}

// Resize notes the size.
func (e *Engine) Resize(ctx context.Context, id runtime.ContainerID, rows, columns uint16) error {
	if err := e.enter(ctx, Resize); err != nil {
		return err
	}
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	b, err := e.own(id)
	switch {
	case err != nil:
		return err
	case !b.up():
		return runtime.Fail(runtime.Conflict, nil, "the container does not run")
	case b.spec.TTY:
		b.size = [2]uint16{rows, columns}
	}
	return e.leave(Resize)
}

// Print lets a running container print; false when there is none that runs. It
// works while the engine is away, too.
func (e *Engine) Print(id runtime.ContainerID, stderr bool, text string) bool {
	up := false
	e.with(id, func(b *box) {
		if up = b.up(); up {
			e.machine.print(b, stderr, text)
		}
	})
	return up
}

// Detach breaks the connections of those who are attached to a container.
func (e *Engine) Detach(id runtime.ContainerID) {
	e.with(id, func(b *box) {
		for a := range b.listeners {
			a.end(io.EOF)
		}
		b.listeners = nil
	})
}

// Rotate lets the engine forget what it has logged of a container so far.
func (e *Engine) Rotate(id runtime.ContainerID) {
	e.with(id, func(b *box) { b.forgotten = len(b.log) })
}

// SetDeaf lets the program read its stdin or not.
func (e *Engine) SetDeaf(id runtime.ContainerID, deaf bool) {
	e.with(id, func(b *box) { b.deaf = deaf })
}

// Listeners is how many are attached to a container.
func (e *Engine) Listeners(id runtime.ContainerID) (n int) {
	e.with(id, func(b *box) { n = len(b.listeners) })
	return n
}

// Size is what Resize made of a container's terminal.
func (e *Engine) Size(id runtime.ContainerID) (rows, columns uint16) {
	e.with(id, func(b *box) { rows, columns = b.size[0], b.size[1] })
	return rows, columns
}
