package instance

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Console is the record of what instances print (agent/console). Nothing of it
// fails here: a console that can't be kept is no reason not to run an instance.
// Its methods are safe for concurrent use.
type Console interface {
	// Begin records a container that is started next: when it returns, no line of
	// the run that follows is missed. It takes as long as an attach.
	Begin(ctx context.Context, c runtime.Container)
	// Resume records a container that was found: what its log still has of it, and
	// what it prints from now on. It returns at once; of one that is recorded
	// already, it is nothing.
	Resume(c runtime.Container)
	// Settle waits a little until what the program of a container that is held printed
	// last is recorded, its last line with or without an end: what is said next comes
	// behind it, and what the next program prints is a line of its own.
	Settle(c runtime.Container)
	// Say adds what the agent has to say about an instance: one line.
	Say(id ident.Instance, text string)
	// Install takes the output of an installation, line by line; Close ends the
	// last one.
	Install(id ident.Instance) io.WriteCloser
	// Watch calls line for each line of stdout and stderr since a moment: first,
	// before it returns, for those in the record, then for each that comes, until
	// stop is called; line is never called after that. It is called with locks held:
	// it must neither wait nor call the console. The text is as it was printed,
	// escapes included.
	Watch(id ident.Instance, since time.Time, line func(text string)) (stop func())
	// Remove forgets an instance: its record and its readers.
	Remove(id ident.Instance)
	// Keep removes the records of all other instances, which nobody will ask for.
	Keep(ids []ident.Instance)
}

// noConsole is the Console of a Manager that was given none.
type noConsole struct{}

func (noConsole) Begin(context.Context, runtime.Container) {}
func (noConsole) Resume(runtime.Container)                 {}
func (noConsole) Settle(runtime.Container)                 {}
func (noConsole) Say(ident.Instance, string)               {}
func (noConsole) Install(ident.Instance) io.WriteCloser    { return deaf{io.Discard} }
func (noConsole) Watch(ident.Instance, time.Time, func(string)) (stop func()) {
	return func() {}
}
func (noConsole) Remove(ident.Instance) {}
func (noConsole) Keep([]ident.Instance) {}

type deaf struct{ io.Writer }

func (deaf) Close() error { return nil }

// State gives what an instance does now: NOT_FOUND when this node has none of
// that id.
func (m *Manager) State(id ident.Instance) (wire.State, error) {
	m.mu.Lock()
	o := m.owners[id]
	m.mu.Unlock()
	if o != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.desired.Generation > 0 && !o.gone {
			return o.state, nil
		}
	}
	return wire.State{}, problem.New(problem.NotFound, "this node has no instance %s", id)
}

// Subscribe gives a channel that holds one token whenever an instance's state was
// told anew, until cancel is called. The state itself is for State.
func (m *Manager) Subscribe(id ident.Instance) (changed <-chan struct{}, cancel func()) {
	return m.watches.add(id)
}

// watches are the channels of those who look at instances' states.
type watches struct {
	mu   sync.Mutex
	open map[ident.Instance]map[chan struct{}]struct{}
}

func (w *watches) add(id ident.Instance) (<-chan struct{}, func()) {
	token := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == nil {
		w.open = map[ident.Instance]map[chan struct{}]struct{}{}
	}
	if w.open[id] == nil {
		w.open[id] = map[chan struct{}]struct{}{}
	}
	w.open[id][token] = struct{}{}
	return token, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.open[id], token)
		if len(w.open[id]) == 0 {
			delete(w.open, id)
		}
	}
}

func (w *watches) ring(id ident.Instance) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for token := range w.open[id] {
		select {
		case token <- struct{}{}:
		default:
		}
	}
}

// narrate tells those who look at the instance that its state is another one, and
// says so in its console; the caller holds mu.
func (o *owner) narrate(before wire.State, after ...wire.State) {
	for _, s := range after {
		for _, text := range words(before, s) {
			o.m.deps.Console.Say(o.id, text)
		}
		before = s
	}
	o.m.watches.ring(o.id)
}

// words are what a console says of a change, in the order in which it happened.
func words(before, after wire.State) []string {
	var said []string
	say := func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }
	was, is := before.Actual, after.Actual
	ended := was == wire.ActualRunning || was == wire.ActualStarting || was == wire.ActualStopping
	switch {
	case is == wire.ActualCrashed && was != wire.ActualCrashed, is == wire.ActualStopped && ended && after.ExitCode != nil:
		say("%s", exitWords(after))
	case is == wire.ActualStopped && ended:
		say("Stopped.")
	case is == wire.ActualStopping && was != is:
		say("Stopping.")
	case is == wire.ActualStarting && was != is && was != wire.ActualRunning:
		say("Starting.")
	case is == wire.ActualRunning && was != is:
		say("Running.")
	case is == wire.ActualRunning && !sameTime(before.StartedAt, after.StartedAt):
		say("Started again.")
	}
	if after.Overdue && !before.Overdue {
		say("It takes longer than it should to get ready. It is left running.")
	}
	if after.GaveUp && !before.GaveUp {
		say("Gave up after too many crashes. It is left alone until it is started.")
	} else if after.RetryAt != nil && !sameTime(before.RetryAt, after.RetryAt) {
		say("It is started again at %s.", after.RetryAt.UTC().Format(time.TimeOnly+" MST"))
	}
	if f := after.Failure; f != nil && (before.Failure == nil || before.Failure.Message != f.Message) {
		say("Failed: %s.", f.Message)
	}
	return said
}

// installation gives what a console says of an install, from its progress: each
// step once, without how far it is.
func installation(to io.Writer) func(wire.Progress) {
	last := ""
	return func(p wire.Progress) {
		step := p.Message
		if i := strings.LastIndex(step, ": "); i > 0 {
			step = step[:i]
		}
		if step != last {
			last = step
			_, _ = io.WriteString(to, step+"\n") // a console fails nobody
		}
	}
}

func exitWords(s wire.State) string {
	switch {
	case s.OOM:
		return "Killed: it needed more memory than it may use."
	case s.ExitCode != nil:
		return fmt.Sprintf("Ended with exit code %d.", *s.ExitCode)
	default:
		return "Ended."
	}
}

// keepConsoles removes the records of instances that are not here any more: not
// in the journal, and without a container.
func (m *Manager) keepConsoles() {
	m.mu.Lock()
	ids := make([]ident.Instance, 0, len(m.owners)+len(m.strangers))
	for id := range m.strangers {
		ids = append(ids, id)
	}
	owners := make([]*owner, 0, len(m.owners))
	for _, o := range m.owners {
		owners = append(owners, o)
	}
	m.mu.Unlock()
	for _, o := range owners {
		if _, ok := o.holding(); ok && !o.buried() {
			ids = append(ids, o.id)
		}
	}
	m.deps.Console.Keep(ids)
}

func (o *owner) buried() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.gone
}
