package instance

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// errForgotten answers an order to an owner that was dropped from the Manager.
var errForgotten = errors.New("the owner was forgotten")

// never is the wait of an owner with nothing to do until it is woken.
const never = time.Duration(-1)

// owner is the one goroutine that acts on an instance, and its mailbox.
type owner struct {
	m    *Manager
	id   ident.Instance
	log  *slog.Logger
	wake chan struct{} // holds one token
	// nudge likewise, for who waits for the end of an installation.
	nudge chan struct{}
	done  chan struct{} // closed by retire

	mu       sync.Mutex
	desired  journal.Desired
	known    journal.Known // State and Told in it are what was last told
	unsaved  bool          // known differs from the journal
	state    wire.State    // as it is now
	unsaid   *wire.State   // a crash that is told with the next write
	gone     bool          // a tombstone
	retired  bool
	cancel   context.CancelFunc // of the turn under way
	mail     mail
	broke    time.Time           // when the engine's stream broke last
	seen     []runtime.Container // glimpses of boxes as the last turn left them
	progress struct {
		step string
		at   time.Time
	}

	// What follows is the goroutine's own.
	boxes     []runtime.Container // this instance's containers, as far as known
	stale     bool                // boxes must be inspected
	unsure    bool                // there may be containers that boxes doesn't hold
	live      runtime.ContainerID // the one that was seen running and not seen ending
	condemned runtime.ContainerID // the one that was asked to stop: its end is no exit by itself
	spoilt    runtime.ContainerID // the engine could not start it, and does not say why: it is made anew
	failed    int64               // the generation that has failed
	again     again
	severed   severed
	sure      []time.Time      // of the last ends, those that no engine can have brought about
	attempts  int              // of a removal that doesn't work
	signals   []runtime.Change // that containers got lately, ours too
	died      bool             // the engine has told of an end
	awaited   bool             // an end was seen that the engine has yet to tell of
	mended    mended
	deferred  deferred
	aides     []runtime.Container // containers that install it, as far as known
	watched   runtime.ContainerID // the one of them that was seen running,
	watchedAt time.Time           // at this time last
	// scriptFailed is when a script has ended with an error last.
	scriptFailed time.Time
	throttled    throttled
	listening    listening
}

// mail is what others told the owner since its last turn.
type mail struct {
	listed  bool // boxes is the whole truth
	boxes   []runtime.Container
	changed bool
	died    bool             // a container has ended
	strange bool             // there is a container that boxes doesn't hold
	signals []runtime.Change // that a container got
	broke   time.Time        // when the stream broke; zero if it did not
	cut     int64            // the generation that was known when it did, or when the agent ended
}

func newOwner(m *Manager, id ident.Instance) *owner {
	return &owner{
		m: m, id: id, log: m.log.With("instance", string(id)), wake: make(chan struct{}, 1), nudge: make(chan struct{}, 1), done: make(chan struct{}),
		state: wire.State{Phase: wire.PhaseInstalling, Actual: wire.ActualUnknown},
	}
}

// newKnown is what is known of an instance that is new here. The orders to install
// again were given to whoever had it before, or to a journal that is lost: to
// carry them out could throw away what the volume holds.
func newKnown(spec *wire.Spec) journal.Known {
	if spec == nil {
		return journal.Known{}
	}
	return journal.Known{Wiped: spec.Wipe, Reinstalled: spec.Reinstall}
}

// recall makes the owner of an instance that the journal holds.
func recall(m *Manager, r journal.Record) *owner {
	o := newOwner(m, r.Instance)
	o.desired, o.known, o.gone, o.mail.cut = r.Desired, r.Known, r.Gone, r.Desired.Generation
	if r.Known.Told == 0 {
		return o // nothing was told yet: the state of a new one
	}
	o.state = r.Known.State
	if o.state.Actual == wire.ActualStopping { // the agent was killed at it: it is finished first
		o.condemned = runtime.ContainerID(o.state.Container)
	}
	if r.Known.Told != r.Desired.Generation {
		o.state.Converged, o.state.Failure = false, nil
	} else if o.state.Phase == wire.PhaseFailed && o.state.Converged {
		o.failed = r.Desired.Generation
	}
	return o
}

// run takes turns until ctx ends or the owner is retired.
func (o *owner) run(ctx context.Context) {
	defer o.listening.end()
	for {
		wait := o.turn(ctx)
		var timeout <-chan time.Time
		var timer *time.Timer
		if wait != never {
			timer = time.NewTimer(wait)
			timeout = timer.C
		}
		select {
		case <-timeout:
		case <-o.wake:
		case <-o.done:
		case <-ctx.Done():
		}
		if timer != nil {
			timer.Stop()
		}
		select {
		case <-o.done:
			return
		case <-ctx.Done():
			return
		default:
		}
	}
}

func (o *owner) rouse() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// interrupt ends the turn under way; the caller holds mu.
func (o *owner) interrupt() {
	if o.cancel != nil {
		o.cancel()
	}
	o.rouse()
}

// apply takes a spec; see Manager.Apply.
func (o *owner) apply(spec wire.Spec) (wire.Accepted, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	held := o.desired.Generation
	switch {
	case o.retired:
		return wire.Accepted{}, errForgotten
	case spec.Generation < held || spec.Generation == held && o.desired.Removal != nil:
		return wire.Accepted{Generation: held}, nil
	case spec.Generation == held:
		return wire.Accepted{Generation: held}, o.sayAgain()
	}
	desired := journal.Desired{Generation: spec.Generation, Spec: &spec}
	known, state := o.known, o.state
	if o.gone || held == 0 {
		known, state = newKnown(&spec), newOwner(o.m, o.id).state
	}
	if err := o.m.deps.Journal.Write(journal.Change{Instance: o.id, Desired: &desired, Known: &known}); err != nil {
		return wire.Accepted{}, err
	}
	o.desired, o.known, o.state, o.gone, o.unsaved = desired, known, state, false, false
	o.state.Converged, o.state.Failure = false, nil
	if known.Doomed > 0 {
		o.state.Phase = wire.PhaseInstalling // a new one, once the old one is gone
	}
	o.interrupt()
	return wire.Accepted{Generation: spec.Generation}, nil
}

// remove takes a removal; see Manager.Remove.
func (o *owner) remove(removal wire.Removal) (wire.Accepted, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.retired {
		return wire.Accepted{}, errForgotten
	}
	if removal.Generation < o.desired.Generation {
		return wire.Accepted{Generation: o.desired.Generation}, nil
	}
	change := journal.Change{Instance: o.id, Desired: &journal.Desired{Generation: removal.Generation, Removal: &removal}}
	known := o.known
	if o.gone { // nothing is left to do but to say so again
		change.Events = []wire.Event{o.event(wire.EventRemoved, removal.Generation)}
		change.Tombstone = true
	} else {
		known.Doomed = removal.Generation
		change.Known = &known
	}
	if err := o.m.deps.Journal.Write(change); err != nil {
		return wire.Accepted{}, err
	}
	again := o.desired.Removal != nil && o.desired.Generation == removal.Generation
	o.desired, o.known = *change.Desired, known
	o.state.Converged, o.state.Failure = false, nil
	switch {
	case o.gone:
	case again:
		o.rouse() // it is under way: don't begin it anew
	default:
		o.interrupt()
	}
	return wire.Accepted{Generation: removal.Generation}, nil
}

// sayAgain tells the state as it is, for a controller that lost the answer; the
// caller holds mu.
func (o *owner) sayAgain() error {
	return o.write(true)
}

// holding is the owner's line of the inventory; false when it holds nothing.
func (o *owner) holding() (wire.Holding, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	h := wire.Holding{Instance: o.id, Generation: o.desired.Generation, Removing: o.desired.Removal != nil, State: o.state}
	if o.desired.Spec != nil {
		h.Ports, h.Revision = o.desired.Spec.Ports, o.desired.Spec.Revision
	}
	return h, o.desired.Generation > 0
}

// spec is what the owner was told; see Manager.Spec.
func (o *owner) spec() (wire.Spec, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.desired.Removal != nil && !o.gone:
		return wire.Spec{}, problem.New(problem.Conflict, "instance %s is being removed", o.id)
	case o.desired.Spec == nil || o.gone:
		return wire.Spec{}, problem.New(problem.NotFound, "this node has no settings of instance %s", o.id)
	default:
		return *o.desired.Spec, nil
	}
}

// reference is the image that the instance is made from; "" when it holds none.
func (o *owner) reference() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.desired.Spec == nil {
		return ""
	}
	return wanted(o.desired.Spec.Image)
}

// retire ends the owner when it holds nothing any more, and says whether it does.
func (o *owner) retire() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.desired.Generation > 0 && !o.gone {
		return false
	}
	if !o.retired {
		o.retired = true
		close(o.done)
	}
	return true
}

func (o *owner) listed(boxes []runtime.Container) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mail = mail{listed: true, boxes: boxes, broke: o.mail.broke, cut: o.mail.cut} // what came before is in it
	o.rouse()
}

func (o *owner) changed(c runtime.Change) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c.Kind == runtime.Signalled {
		// What comes of it is told by itself.
		if o.mail.signals = append(o.mail.signals, c); len(o.mail.signals) > maxSignals {
			o.mail.signals = o.mail.signals[1:]
		}
		return
	}
	o.mail.changed = true
	o.mail.died = o.mail.died || c.Kind == runtime.Died
	o.rouse()
}

func (o *owner) streamBroke(at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mail.broke, o.broke, o.mail.cut = at, at, o.desired.Generation
}
