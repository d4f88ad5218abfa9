package instance

import (
	"fmt"
	"slices"
	"time"

	"github.com/berth-panel/berth/agent/install"
	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/shared/wire"
)

// quiet is how long a step's next progress waits.
const quiet = 500 * time.Millisecond

// journalError marks a failure to write the journal: the instance is fine, the
// node's disk is not.
type journalError struct{ cause error }

func (e journalError) Error() string { return "write the journal: " + e.cause.Error() }
func (e journalError) Unwrap() error { return e.cause }

// job is what a turn works on. Orders that come during the turn don't change it.
type job struct {
	desired journal.Desired
	doomed  int64
	mail    mail
	leave   bool // what was done by hand is left so; see owner.leaves
}

// runs says whether the instance should run.
func (j job) runs() bool {
	s := j.desired.Spec
	return s != nil && s.Power.Want == wire.WantRunning && !s.Suspended && !s.Moving
}

// set changes the state without telling. Facts (what the container does) always
// count; what is said about a generation counts only while it is the latest.
func (o *owner) set(j job, change func(s *wire.State)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	next := o.state
	change(&next)
	if o.desired.Generation != j.desired.Generation {
		next.Phase, next.Converged, next.Failure = o.state.Phase, o.state.Converged, o.state.Failure
	}
	o.state = next
}

// learn changes what must be remembered; it is on the disk after the next tell.
func (o *owner) learn(change func(k *journal.Known)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(&o.known)
	o.unsaved = true
}

// know gives what is remembered and the state as it is.
func (o *owner) know() (journal.Known, wire.State) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.known, o.state
}

// tell writes what was learned, and an event if the state is not the one that
// was last told.
func (o *owner) tell() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.write(false); err != nil {
		return journalError{err}
	}
	return nil
}

// noteCrash sees to it that an end is told though the instance is restarted at
// once: with the next tell, which need not wait for the disk twice.
func (o *owner) noteCrash() {
	o.mu.Lock()
	defer o.mu.Unlock()
	ended := o.state.Actual == wire.ActualCrashed || o.state.Actual == wire.ActualStopped && o.state.RetryAt != nil
	if ended && !same(o.state, o.known.State) {
		crashed := o.state
		o.unsaid = &crashed
	}
}

// write is tell under mu; anyway makes an event of a state that was told before.
func (o *owner) write(anyway bool) error {
	event := anyway || o.known.Told != o.desired.Generation || !same(o.state, o.known.State)
	if !event && !o.unsaved {
		return nil
	}
	known := o.known
	change := journal.Change{Instance: o.id, Known: &known}
	if o.unsaid != nil {
		e := o.event(wire.EventState, o.desired.Generation)
		e.State = o.unsaid
		change.Events = append(change.Events, e)
	}
	if event {
		known.State, known.Told = o.state, o.desired.Generation
		e := o.event(wire.EventState, o.desired.Generation)
		state := o.state
		e.State = &state
		change.Events = append(change.Events, e)
	}
	if err := o.m.deps.Journal.Write(change); err != nil {
		return err
	}
	before, after := o.known.State, []wire.State{o.state}
	if o.unsaid != nil {
		after = []wire.State{*o.unsaid, o.state}
	}
	o.known, o.unsaved, o.unsaid = known, false, nil
	o.narrate(before, after...)
	return nil
}

func (o *owner) event(kind wire.EventType, generation int64) wire.Event {
	return wire.Event{At: o.m.now().UTC(), Type: kind, Instance: o.id, Generation: generation}
}

// report tells how far a long step is: at once when the step is another one,
// else at most every half second. It is safe from any goroutine.
func (o *owner) report(j job, p wire.Progress) {
	now := o.m.now()
	o.mu.Lock()
	if o.progress.step == p.Step && now.Sub(o.progress.at) < quiet {
		o.mu.Unlock()
		return
	}
	o.progress.step, o.progress.at = p.Step, now
	o.mu.Unlock()
	e := o.event(wire.EventProgress, j.desired.Generation)
	e.Progress = &p
	o.m.deps.Journal.Post(e)
}

// sayWaiting tells that an order waits for the engine.
func (o *owner) sayWaiting() {
	if !o.m.engineAway() {
		return
	}
	o.mu.Lock()
	j := job{desired: o.desired}
	idle := o.gone || o.desired.Generation == 0 || o.state.Converged && o.desired.Removal == nil
	o.mu.Unlock()
	if !idle {
		o.step(j, wire.StepWait, "Waiting for the container engine")
	}
}

// step tells that a short step has begun.
func (o *owner) step(j job, step, format string, args ...any) {
	o.report(j, wire.Progress{Step: step, Percent: -1, Message: fmt.Sprintf(format, args...)})
}

// remark tells the instance's owner what he should know, a sentence each without its
// end: in the console, and in the log of the job that waits, if one does.
func (o *owner) remark(j job, sentences ...string) {
	e := o.event(wire.EventOutput, j.desired.Generation)
	for _, text := range sentences[:min(len(sentences), wire.OutputLines)] {
		text = clip(plainText(install.Hide(j.desired.Spec.Install.Secrets, text)), wire.OutputText) + "."
		o.m.deps.Console.Say(o.id, text)
		e.Output = append(e.Output, text)
	}
	if _, state := o.know(); len(e.Output) > 0 && !state.Converged { // a crash's next start has no job
		o.m.deps.Journal.Post(e)
	}
}

// same compares two states as the wire would show them.
func same(a, b wire.State) bool {
	if (a.Failure == nil) != (b.Failure == nil) || a.Failure != nil && (a.Failure.Code != b.Failure.Code || a.Failure.Message != b.Failure.Message) {
		return false
	}
	if (a.ExitCode == nil) != (b.ExitCode == nil) || a.ExitCode != nil && *a.ExitCode != *b.ExitCode {
		return false
	}
	if (a.Disk == nil) != (b.Disk == nil) || a.Disk != nil && *a.Disk != *b.Disk || !slices.Equal(a.Unheld, b.Unheld) {
		return false
	}
	if a.Overdue != b.Overdue || a.Crashes != b.Crashes || a.GaveUp != b.GaveUp || a.Health != b.Health || !sameTime(a.ReadyAt, b.ReadyAt) {
		return false
	}
	return a.Phase == b.Phase && a.Actual == b.Actual && a.Converged == b.Converged && a.Container == b.Container && a.Digest == b.Digest &&
		a.OOM == b.OOM && a.Drift == b.Drift && sameTime(a.StartedAt, b.StartedAt) && sameTime(a.RetryAt, b.RetryAt)
}

func sameTime(a, b *time.Time) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Equal(*b))
}
