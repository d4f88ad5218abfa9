package fake

import (
	"context"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
)

// watcher is one Watch that stands. The machine's mutex guards its queue.
type watcher struct {
	engine *Engine
	node   ident.Node
	queue  []runtime.Change
	news   chan struct{} // holds one when there is something to take
	broken chan struct{} // closed by BreakWatches
}

// Watch hands over the changes of this node's containers.
func (e *Engine) Watch(ctx context.Context, ready func(), handle func(runtime.Change)) error {
	if err := e.enter(ctx, Watch); err != nil {
		return err
	}
	away := e.gone()
	w := &watcher{engine: e, node: e.node, news: make(chan struct{}, 1), broken: make(chan struct{})}
	e.machine.mu.Lock()
	e.machine.watchers[w] = struct{}{}
	e.machine.mu.Unlock()
	defer func() {
		e.machine.mu.Lock()
		defer e.machine.mu.Unlock()
		delete(e.machine.watchers, w)
	}()
	if ready != nil {
		ready()
	}
	for {
		select {
		case <-w.news:
			if e.holdsChanges() {
				continue
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-away:
			return unreachable()
		case <-w.broken:
			return unreachable()
		}
		for _, c := range e.take(w) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			handle(c)
		}
	}
}

func (e *Engine) take(w *watcher) []runtime.Change {
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	waiting := w.queue
	w.queue = nil
	return waiting
}

// tell queues a change for the watchers of the box's node, under the machine's
// mutex.
func (m *machine) tell(b *box, kind runtime.ChangeKind) { m.tellSignal(b, kind, 0) }

func (m *machine) tellSignal(b *box, kind runtime.ChangeKind, signal int) {
	for w := range m.watchers {
		if w.node != b.node {
			continue
		}
		w.queue = append(w.queue, runtime.Change{Kind: kind, ID: b.ID, Instance: b.Instance, Role: b.Role, At: m.now(), Signal: signal})
		w.ring()
	}
}

// BreakWatches ends every Watch of this engine that stands, as Unreachable,
// while all other calls work on. What it had not handled is lost.
func (e *Engine) BreakWatches() {
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	for w := range e.machine.watchers {
		if w.engine == e {
			delete(e.machine.watchers, w)
			close(w.broken)
		}
	}
}

// HoldChanges lets every Watch of this machine keep to itself what it has to
// tell, or tell it.
func (e *Engine) HoldChanges(hold bool) {
	m := e.machine
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = hold
	for w := range m.watchers {
		w.ring()
	}
}

func (e *Engine) holdsChanges() bool {
	e.machine.mu.Lock()
	defer e.machine.mu.Unlock()
	return e.machine.silent
}

func (w *watcher) ring() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}
