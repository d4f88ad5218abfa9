package docker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/supervisor"
	"github.com/berth-panel/berth/shared/ident"
)

// held is a container that is up, and whose program has ended.
type held struct {
	call     *supervisor.Call
	instance ident.Instance
	life     supervisor.Life // that is over
	since    time.Time       // what the engine tells of it from before is old
	timer    *time.Timer
	answered bool // it is on its way out, or its program begins again
}

// holds are the containers that are held, and who is told of them.
type holds struct {
	mu       sync.Mutex
	open     map[runtime.ContainerID]*held
	ending   map[runtime.ContainerID]int // those that are being stopped, and by how many
	watchers map[*changes]struct{}
}

// errUnwanted says that nobody listens, or that the container is to end anyway.
var errUnwanted = errors.New("nobody would begin the program again")

// add holds a container for a while, has it noted that its program has ended, and
// tells so. All of it is one step: whoever sees the end finds the hold.
func (h *holds) add(change runtime.Change, one *held, hold time.Duration, note func() error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.wants(change.ID) {
		return errUnwanted
	}
	if err := note(); err != nil {
		return err
	}
	if h.open == nil {
		h.open = map[runtime.ContainerID]*held{}
	}
	h.open[change.ID] = one
	one.timer = time.AfterFunc(hold, func() {
		if h.answer(change.ID, one) {
			one.call.Close()
		}
	})
	h.tell(change)
	return nil
}

// wanted says whether a container would be held; wants is the same for who holds mu.
func (h *holds) wanted(id runtime.ContainerID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wants(id)
}

func (h *holds) wants(id runtime.ContainerID) bool {
	was := h.open[id]
	return len(h.watchers) > 0 && h.ending[id] == 0 && (was == nil || was.answered)
}

// awaitStart waits until all who are told of changes have been told that the engine
// started a container at run.
func (h *holds) awaitStart(ctx context.Context, id runtime.ContainerID, run time.Time) error {
	h.mu.Lock()
	watchers := slices.Collect(maps.Keys(h.watchers))
	h.mu.Unlock()
	for _, q := range watchers {
		if err := q.awaitStart(ctx, id, run); err != nil {
			return err
		}
	}
	return nil
}

// tell passes a change on; the caller holds mu.
func (h *holds) tell(change runtime.Change) {
	for q := range h.watchers {
		if !q.push(change) {
			q.end(errFellBehind)
		}
	}
}

// answer says whether it is the caller's to answer the call.
func (h *holds) answer(id runtime.ContainerID, one *held) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if one == nil || one.answered || h.open[id] != one {
		return false
	}
	one.answered = true
	one.timer.Stop()
	return true
}

func (h *holds) of(id runtime.ContainerID) *held {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open[id]
}

// hear takes what the engine tells of a container. An end that was told already is
// one more look at what is left.
func (h *holds) hear(change runtime.Change) runtime.Change {
	h.mu.Lock()
	defer h.mu.Unlock()
	one := h.open[change.ID]
	if one == nil || !change.At.After(one.since) || change.Kind != runtime.Died && change.Kind != runtime.Started && change.Kind != runtime.Removed {
		return change
	}
	one.answered = true // there is nobody left to be answered
	one.timer.Stop()
	one.call.Close()
	delete(h.open, change.ID)
	if change.Kind == runtime.Died {
		change.Kind = runtime.Other
	}
	return change
}

// listen lets a queue be told, until the function that it gives is called.
func (h *holds) listen(q *changes) (stop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers == nil {
		h.watchers = map[*changes]struct{}{}
	}
	h.watchers[q] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, q)
	}
}

// release lets a container go, which is to end; until done is called it isn't held
// again.
func (h *holds) release(id runtime.ContainerID) (done func()) {
	h.mu.Lock()
	if h.ending == nil {
		h.ending = map[runtime.ContainerID]int{}
	}
	h.ending[id]++
	one := h.open[id]
	h.mu.Unlock()
	if h.answer(id, one) {
		one.call.Close()
	}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.ending[id]--; h.ending[id] == 0 {
			delete(h.ending, id)
		}
	}
}

// begun ends a hold, and tells so.
func (h *holds) begun(change runtime.Change, one *held) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[change.ID] == one {
		delete(h.open, change.ID)
	}
	h.tell(change)
}

// hangUp lets all go.
func (h *holds) hangUp() {
	h.mu.Lock()
	held := maps.Clone(h.open)
	h.mu.Unlock()
	for id, one := range held {
		if h.answer(id, one) {
			one.call.Close()
		}
	}
}

// forget ends what is known of a container that is gone.
func (h *holds) forget(id runtime.ContainerID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if one := h.open[id]; one != nil && one.answered {
		delete(h.open, id)
	}
}
