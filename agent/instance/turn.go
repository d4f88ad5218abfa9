package instance

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	// awayRetry is the wait after the engine did not answer, in case that its
	// event stream never noticed; usually the next list comes earlier.
	awayRetry    = 2 * time.Second
	journalRetry = 5 * time.Second
	maxRetry     = time.Minute
)

// errMoved means that the engine's picture changed under a step: look again.
var errMoved = errors.New("the containers are not what they were")

// turn looks and does what is missing. It gives the wait until the next turn
// that nobody asked for, or never.
func (o *owner) turn(ctx context.Context) time.Duration {
	if !o.m.isUp() {
		o.sayWaiting()
		return never
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	j, idle := o.begin(cancel)
	defer o.finish()
	if idle {
		return never
	}
	o.open(j)
	if j.doomed > 0 {
		return o.afterRemoval(ctx, o.removeAll(ctx, j))
	}
	settled, err := o.converge(ctx, j)
	return o.conclude(ctx, j, settled, err)
}

func (o *owner) begin(cancel context.CancelFunc) (job, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cancel = cancel
	j := job{desired: o.desired, doomed: o.known.Doomed, mail: o.mail, leave: o.leaves()}
	o.mail = mail{}
	return j, o.gone || o.desired.Generation == 0
}

func (o *owner) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.cancel = nil
	o.seen = glimpses(slices.Concat(o.boxes, o.aides))
}

// open reads the mail.
func (o *owner) open(j job) {
	if !j.mail.broke.IsZero() {
		o.distrust(j.mail.broke)
		o.absolve(j.mail.broke)
	}
	if j.mail.listed {
		o.boxes, o.aides = split(j.mail.boxes)
		o.live, o.stale, o.unsure, o.signals = "", false, false, nil
		switch _, state := o.know(); {
		case state.Phase == wire.PhaseReady:
			o.failed = 0 // what stood in the way may be gone, as after a reboot
		case !state.Converged && j.mail.cut == j.desired.Generation:
			o.severed = severed{generation: j.desired.Generation, until: o.m.now().Add(settleFor)}
		}
	}
	if j.mail.changed {
		o.stale = true
	}
	o.died = o.died || j.mail.died
	if j.mail.strange {
		o.unsure = true
	}
	o.signals = append(o.signals, j.mail.signals...)
	o.signals = o.signals[max(0, len(o.signals)-maxSignals):]
}

// conclude says how the turn ended. settled means that nothing was tried.
func (o *owner) conclude(ctx context.Context, j job, settled bool, err error) time.Duration {
	wait := never
	reason := runtime.ReasonOf(err)
	var disk journalError
	switch {
	case ctx.Err() != nil || reason == runtime.Unreachable:
		// Interrupted: the next turn is due already, or the agent ends. Or the
		// engine is away: what the container does stays as it was known.
		return o.leaveOff(ctx)
	case errors.Is(err, errMoved):
		wait = time.Second
	case errors.As(err, &disk):
		o.log.Error("the journal can't be written", "error", err)
		wait = journalRetry
	case err != nil:
		o.fails(j, err)
	case !settled:
		o.again = again{}
		o.set(j, func(s *wire.State) { s.Phase, s.Failure, s.Converged = wire.PhaseReady, nil, true })
	}
	drift := o.drift(j)
	o.judgeRun(j)
	held := o.m.deps.Volumes.Disk(o.id)
	o.set(j, func(s *wire.State) {
		o.describe(s)
		s.Disk = held
		s.Drift = drift
	})
	if err := o.tell(); err != nil {
		o.log.Error("the journal can't be written", "error", err)
		return journalRetry
	}
	if wait == never {
		wait = o.untilNext()
	}
	return wait
}

// fails tells that the generation can't be carried out, and plans another try where
// that may help. What was cut off is tried again before anybody is told.
func (o *owner) fails(j job, err error) {
	o.log.Warn("the instance can't be made what it should be", "generation", j.desired.Generation, "error", err)
	o.failed = j.desired.Generation
	if o.tryAgain(j, err) {
		o.step(j, "start", "The container engine was away; it is tried again: %s", sentence(err))
		return
	}
	o.set(j, func(s *wire.State) {
		s.Failure, s.Converged = explain(err), true
		if s.Phase != wire.PhaseReady {
			s.Phase = wire.PhaseFailed
		}
	})
}

func (o *owner) leaveOff(ctx context.Context) time.Duration {
	if err := o.tell(); err != nil {
		o.log.Error("the journal can't be written", "error", err)
	}
	if ctx.Err() != nil {
		return never
	}
	return awayRetry
}

// describe fills in what the container does, between the steps.
func (o *owner) describe(s *wire.State) {
	known := o.known // set holds mu
	switch {
	case o.live != "":
		s.Actual = upAs(*s)
	case s.RetryAt != nil && s.Actual == wire.ActualStopped:
		// It ended in good order, and is started again by its policy.
	case s.RetryAt != nil || known.Halt == journal.HaltGaveUp || known.Halt == journal.HaltCrashed:
		s.Actual = wire.ActualCrashed
	default:
		s.Actual = wire.ActualStopped
	}
	if o.live == "" {
		retry := s.RetryAt
		over(s)
		s.RetryAt = retry
	}
	s.Crashes, s.GaveUp = len(known.Crashes), known.Halt == journal.HaltGaveUp
	s.Container = ""
	if len(o.boxes) > 0 && o.boxes[0].Status != runtime.Dead {
		s.Container = string(o.boxes[0].ID)
	}
}

// untilRetry is the wait until a crashed container is started again.
func (o *owner) untilRetry() time.Duration {
	_, state := o.know()
	if state.RetryAt == nil {
		return never
	}
	return max(0, state.RetryAt.Sub(o.m.now()))
}

// removeAll takes away everything of the instance, whatever is left of it.
func (o *owner) removeAll(ctx context.Context, j job) error {
	o.step(j, "remove", "Removing the container and its data")
	if err := o.relist(ctx); err != nil {
		return err
	}
	for len(o.boxes) > 0 {
		if err := o.m.deps.Engine.Remove(ctx, o.boxes[0].ID); err != nil && runtime.ReasonOf(err) != runtime.Missing {
			o.unsure = true
			return err
		}
		o.boxes = o.boxes[1:]
	}
	if err := o.removeAides(ctx); err != nil {
		return err
	}
	o.cut()
	if err := o.m.deps.Volumes.Remove(o.id); err != nil {
		return err
	}
	if o.m.deps.Fence != nil {
		o.m.deps.Fence.Release(o.id)
	}
	return o.bury()
}

// bury makes the removal known. A spec that came meanwhile begins from nothing.
func (o *owner) bury() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	known := newKnown(o.desired.Spec)
	change := journal.Change{
		Instance: o.id, Known: &known, Tombstone: o.desired.Spec == nil,
		Events: []wire.Event{o.event(wire.EventRemoved, o.known.Doomed)},
	}
	if err := o.m.deps.Journal.Write(change); err != nil {
		return journalError{err}
	}
	o.known, o.unsaved, o.gone = known, false, change.Tombstone
	o.state = wire.State{Phase: wire.PhaseInstalling, Actual: wire.ActualStopped}
	o.boxes, o.live, o.condemned, o.failed, o.attempts, o.mended = nil, "", "", 0, 0, mended{}
	o.aides, o.scriptFailed, o.deferred = nil, time.Time{}, deferred{}
	o.m.deps.Console.Remove(o.id)
	o.m.watches.ring(o.id)
	return nil
}

// afterRemoval says when to go on: at once with a spec that waits, later with a
// removal that did not work. Removals are never given up.
func (o *owner) afterRemoval(ctx context.Context, err error) time.Duration {
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		return never
	case runtime.ReasonOf(err) == runtime.Unreachable:
		return awayRetry
	}
	o.log.Warn("the instance can't be removed yet", "error", err)
	o.attempts++
	wait := min(maxRetry, time.Second<<min(o.attempts-1, 10))
	o.mu.Lock()
	o.state.Failure = explain(err)
	o.mu.Unlock()
	if err := o.tell(); err != nil {
		o.log.Error("the journal can't be written", "error", err)
	}
	return wait
}
