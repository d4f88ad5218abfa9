package fleettest

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// patience is how long a test waits for what must come; far more than it takes.
const patience = 30 * time.Second

// Answer is how the agent answers a call; nil accepts it.
type Answer struct {
	Until   <-chan struct{}  // answer once this is closed (or the caller is gone)
	Problem *problem.Problem // refuse with it; nothing is kept
	Break   bool             // keep it, but break the connection off instead of answering
	Status  int              // with Body: answer with this instead
	Body    string
}

// OnApply has f decide how the next specs are answered; nil accepts all.
func (a *Agent) OnApply(f func(wire.Spec) *Answer) {
	a.change(func() { a.apply = f })
}

// OnRemove has f decide how the next removals are answered; nil accepts all.
func (a *Agent) OnRemove(f func(ident.Instance, wire.Removal) *Answer) {
	a.change(func() { a.remove = f })
}

// Serve has h answer the calls that the agent has no script for: those of a
// feature's room. What it holds open, such as a WebSocket, is its own to end.
func (a *Agent) Serve(h http.Handler) { a.change(func() { a.rooms = h }) }

// Obey has the agent carry everything out at once: a spec ends in a converged
// state event (ready; running or stopped as asked), a removal in its event.
func (a *Agent) Obey() { a.change(func() { a.obedient = true }) }

// Say changes what the agent says of itself from the next hello on.
func (a *Agent) Say(f func(*wire.Hello)) { a.change(func() { f(&a.hello) }) }

// Mute stops, or starts again, the signs of life on the event stream.
func (a *Agent) Mute(muted bool) { a.change(func() { a.muted = muted }) }

// LoseJournal forgets everything, as an agent does whose disk was replaced: a
// new epoch, event numbers from 1.
func (a *Agent) LoseJournal() {
	a.change(func() {
		a.hello.Epoch, a.hello.LastSeq, a.acked = ident.New(), 0, 0
		a.events, a.holdings = nil, map[ident.Instance]*holding{}
	})
}

// Emit journals events: their numbers, and their times when they have none, are
// set here. They are sent as soon as there is a stream, and kept until they are
// acknowledged. A state becomes that of the held instance.
func (a *Agent) Emit(events ...wire.Event) {
	a.change(func() { a.emit(events...) })
}

func (a *Agent) emit(events ...wire.Event) {
	for _, e := range events {
		a.hello.LastSeq++
		e.Seq = a.hello.LastSeq
		if e.At.IsZero() {
			e.At = a.now().UTC()
		}
		a.events = append(a.events, e)
		if h := a.holdings[e.Instance]; h != nil && e.State != nil {
			h.state = *e.State
		}
	}
}

// Resend puts events with their numbers as they are at the end of what is sent:
// for an agent that repeats itself or counts wrongly.
func (a *Agent) Resend(events ...wire.Event) {
	a.change(func() { a.events = append(a.events, events...) })
}

// Hold makes the agent hold an instance that nobody told it of.
func (a *Agent) Hold(spec wire.Spec, state wire.State) {
	a.change(func() { a.holdings[spec.Instance] = &holding{spec: spec, state: state} })
}

// Specs are the specs that were kept, in the order they came.
func (a *Agent) Specs() []wire.Spec {
	return look(a, func() []wire.Spec { return slices.Clone(a.applied) })
}

// Removals are the removals that were kept, in the order they came.
func (a *Agent) Removals() []Removed {
	return look(a, func() []Removed { return slices.Clone(a.removed) })
}

// Streams are the openings of the event stream, in the order they came.
func (a *Agent) Streams() []Stream { return look(a, func() []Stream { return slices.Clone(a.opened) }) }

// Acked is the highest acknowledged event number.
func (a *Agent) Acked() int64 { return look(a, func() int64 { return a.acked }) }

// Epoch is that of the agent's journal.
func (a *Agent) Epoch() string { return look(a, func() string { return a.hello.Epoch }) }

// Wait waits until the condition on the agent holds; it fails the test when
// that takes too long. cond must not block.
func (a *Agent) Wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		a.mu.Lock()
		changed := a.changed
		a.mu.Unlock()
		if cond() {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("waited for nothing: %s", what)
		}
	}
}

// WaitSpec waits for a spec for which is holds and gives the first of them.
func (a *Agent) WaitSpec(t testing.TB, what string, is func(wire.Spec) bool) wire.Spec {
	t.Helper()
	var found wire.Spec
	a.Wait(t, what, func() bool {
		specs := a.Specs()
		i := slices.IndexFunc(specs, is)
		if i >= 0 {
			found = specs[i]
		}
		return i >= 0
	})
	return found
}

// WaitAcked waits until everything that was emitted is acknowledged.
func (a *Agent) WaitAcked(t testing.TB) {
	t.Helper()
	a.Wait(t, "every event acknowledged", func() bool {
		return look(a, func() bool { return len(a.events) == 0 })
	})
}

func (a *Agent) change(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
	a.announce()
}

// announce needs the lock.
func (a *Agent) announce() {
	close(a.changed)
	a.changed = make(chan struct{})
}

func look[T any](a *Agent, f func() T) T {
	a.mu.Lock()
	defer a.mu.Unlock()
	return f()
}

// Done is the state that an agent reports when it has carried out a spec.
func Done(spec wire.Spec) wire.State {
	state := wire.State{Phase: wire.PhaseReady, Actual: wire.ActualStopped, Converged: true, Container: "container-of-" + string(spec.Instance)}
	if spec.Power.Want == wire.WantRunning && !spec.Suspended {
		state.Actual = wire.ActualRunning
	}
	return state
}

// StateEvent is the event of such a state.
func StateEvent(spec wire.Spec, state wire.State) wire.Event {
	return wire.Event{Type: wire.EventState, Instance: spec.Instance, Generation: spec.Generation, State: &state}
}
