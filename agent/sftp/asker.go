package sftp

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	answerWithin = 15 * time.Second
	aliveWithin  = time.Minute // without a ping of the controller
	answerMost   = 16 << 10    // bytes
)

var errAway = problem.New(problem.NodeOffline, "Passwords can't be checked in this moment, since the controller is away: use a key, or try again later.")

// asker asks the controller, on the newest socket that it holds open.
type asker struct {
	turns chan struct{} // questions that are open
	now   func() time.Time

	mu      sync.Mutex
	socket  *websocket.Conn // nil: the controller is away
	pending map[string]chan<- wire.LoginAnswer
	last    uint64
	closed  bool
}

func newAsker(now func() time.Time) *asker {
	return &asker{now: now, turns: make(chan struct{}, wire.LoginsAtOnce), pending: map[string]chan<- wire.LoginAnswer{}}
}

// ask gives the controller's answer. Its failures are problems for the person.
func (a *asker) ask(ctx context.Context, q wire.LoginQuestion) (wire.LoginAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	select {
	case a.turns <- struct{}{}:
		defer func() { <-a.turns }()
	case <-ctx.Done():
		return wire.LoginAnswer{}, errAway
	}
	answer := make(chan wire.LoginAnswer, 1)
	socket := a.send(&q, answer)
	if socket == nil {
		return wire.LoginAnswer{}, errAway
	}
	defer a.forget(q.Ref)
	select {
	case got, ok := <-answer:
		if !ok {
			return wire.LoginAnswer{}, errAway
		}
		return got, nil
	case <-ctx.Done():
		return wire.LoginAnswer{}, errAway
	}
}

// send puts the question on the socket; nil: there is none.
func (a *asker) send(q *wire.LoginQuestion, answer chan<- wire.LoginAnswer) *websocket.Conn {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.socket == nil {
		return nil
	}
	a.last++
	q.Ref = strconv.FormatUint(a.last, 10)
	_ = a.socket.SetWriteDeadline(a.now().Add(answerWithin))
	if err := a.socket.WriteJSON(q); err != nil {
		_ = a.socket.Close() // serve finds out
		return nil
	}
	a.pending[q.Ref] = answer
	return a.socket
}

func (a *asker) forget(ref string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.pending, ref)
}

// serve takes answers from a socket until it ends. It takes the place of the one
// before.
func (a *asker) serve(socket *websocket.Conn) {
	defer func() { _ = socket.Close() }()
	if !a.take(socket) {
		return
	}
	defer a.leave(socket)
	socket.SetReadLimit(answerMost)
	alive := func() error {
		return socket.SetReadDeadline(a.now().Add(aliveWithin))
	}
	socket.SetPingHandler(func(text string) error {
		_ = socket.WriteControl(websocket.PongMessage, []byte(text), a.now().Add(time.Second))
		return alive()
	})
	for alive() == nil {
		var answer wire.LoginAnswer
		if err := socket.ReadJSON(&answer); err != nil {
			return
		}
		a.mu.Lock()
		waiting := a.pending[answer.Ref]
		delete(a.pending, answer.Ref)
		a.mu.Unlock()
		if waiting != nil {
			waiting <- answer
		}
	}
}

func (a *asker) take(socket *websocket.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.drop()
	a.socket = socket
	return true
}

// drop ends the socket at hand and all that was asked on it; it needs the lock.
func (a *asker) drop() {
	if a.socket != nil {
		_ = a.socket.Close()
		a.socket = nil
	}
	for ref, waiting := range a.pending {
		close(waiting)
		delete(a.pending, ref)
	}
}

func (a *asker) leave(socket *websocket.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.socket == socket {
		a.drop()
	}
}

func (a *asker) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.drop()
}
