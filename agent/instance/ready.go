package instance

import (
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	readyWithin   = 300 * time.Second // after that a start that isn't ready is overdue
	maxReadyLines = 16
	maxReadyText  = 512 // bytes
	regexPrefix   = "regex:"
)

// readyLines are what tells of a start's success, ready to be looked for.
type readyLines struct {
	texts    []string
	patterns []*regexp.Regexp
}

// compileReady reads lines as wire.Ready has them.
func compileReady(lines []string) (readyLines, error) {
	var r readyLines
	for _, line := range lines {
		text, isPattern := strings.CutPrefix(line, regexPrefix)
		if !isPattern {
			r.texts = append(r.texts, line)
			continue
		}
		pattern, err := regexp.Compile(text)
		if err != nil {
			return readyLines{}, err
		}
		r.patterns = append(r.patterns, pattern)
	}
	return r, nil
}

// in says whether a line of a console tells that the start has succeeded.
func (r readyLines) in(line string) bool {
	line = withoutEscapes(line)
	for _, text := range r.texts {
		if strings.Contains(line, text) {
			return true
		}
	}
	for _, pattern := range r.patterns {
		if pattern.MatchString(line) {
			return true
		}
	}
	return false
}

// escapes are the sequences by which programs colour and move: CSI, OSC and the
// other strings, and the short ones.
var escapes = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~])?`)

func withoutEscapes(line string) string {
	if !strings.Contains(line, "\x1b") {
		return line
	}
	return escapes.ReplaceAllString(line, "")
}

// over clears what is said of a run that has ended.
func over(s *wire.State) {
	s.StartedAt, s.RetryAt, s.ReadyAt, s.Overdue, s.Health = nil, nil, nil, false, ""
}

// upAs is what a container that runs does.
func upAs(s wire.State) wire.Actual {
	if s.ReadyAt == nil {
		return wire.ActualStarting
	}
	return wire.ActualRunning
}

// within is how long a start may take before it is said to be overdue.
func within(r wire.Ready) time.Duration {
	if r.WithinSeconds > 0 {
		return time.Duration(r.WithinSeconds) * time.Second
	}
	return readyWithin
}

// judgeRun finds out whether the run is ready, overdue, or long enough to clear
// the record of crashes. What was ready once stays so until it ends.
func (o *owner) judgeRun(j job) {
	c := o.find(o.live)
	if c == nil || j.desired.Spec == nil {
		o.listening.end()
		return
	}
	spec, now := j.desired.Spec, o.m.now()
	if o.untilQuiet(policyOf(spec.Crash)) == 0 {
		o.learn(func(k *journal.Known) { k.Crashes = nil })
	}
	_, state := o.know()
	o.set(j, func(s *wire.State) { s.Health = wire.Health(c.Health) })
	if state.ReadyAt != nil || state.StartedAt == nil {
		return
	}
	var at time.Time
	switch {
	case len(spec.Ready.Lines) == 0 && c.Health == "":
		at = *state.StartedAt
	case c.Health == runtime.Healthy:
		at = now.UTC()
	case o.heardReady(j, *c):
		at = now.UTC()
	}
	if !at.IsZero() {
		o.listening.end()
		o.set(j, func(s *wire.State) { s.ReadyAt, s.Overdue = &at, false })
		return
	}
	if !state.Overdue && now.Sub(*state.StartedAt) >= within(spec.Ready) {
		o.log.Warn("the start takes longer than its image says", "seconds", within(spec.Ready).Seconds())
		o.set(j, func(s *wire.State) { s.Overdue = true })
	}
}

// listening is the watch on the console of a run that isn't ready yet. It is the
// owner's own, but for heard.
type listening struct {
	run   time.Time // when it began
	lines string    // that are looked for
	heard *atomic.Bool
	stop  func()
}

func (l *listening) end() {
	if l.stop != nil {
		l.stop()
	}
	*l = listening{}
}

// heardReady says whether the console of the run, which began then, has said that
// it is ready. Asked first, it looks through what was printed and goes on
// listening: an agent that was restarted finds what came meanwhile.
func (o *owner) heardReady(j job, c runtime.Container) bool {
	lines := j.desired.Spec.Ready.Lines
	key := strings.Join(lines, "\x00")
	if len(lines) == 0 {
		o.listening.end()
		return false
	}
	if l := &o.listening; l.stop == nil || !l.run.Equal(c.StartedAt) || l.lines != key {
		l.end()
		looked, err := compileReady(lines)
		if err != nil { // Validate has let none pass
			o.log.Error("a ready line can't be read", "error", err)
			return false
		}
		heard := new(atomic.Bool)
		l.run, l.lines, l.heard = c.StartedAt, key, heard
		// The console holds its lock: nothing here may wait for the owner's.
		l.stop = o.m.deps.Console.Watch(o.id, o.begun(c), func(text string) {
			if !heard.Load() && looked.in(text) {
				heard.Store(true)
				o.rouse()
			}
		})
	}
	return o.listening.heard.Load()
}

// begun is a moment between the end of the life before and the first line of this
// one, which may be printed before the engine notes that the container has
// started.
func (o *owner) begun(c runtime.Container) time.Time {
	known, _ := o.know()
	switch {
	case !known.Begun.IsZero() && known.Begun.After(c.FinishedAt) && !known.Begun.After(c.StartedAt):
		return known.Begun
	case !c.FinishedAt.IsZero() && c.FinishedAt.Before(c.StartedAt):
		return c.FinishedAt // somebody else has started it
	default:
		return c.StartedAt
	}
}

// untilOld is the wait until a run is overdue, or old enough to clear the record.
func (o *owner) untilOld() time.Duration {
	o.mu.Lock()
	spec, state := o.desired.Spec, o.state
	o.mu.Unlock()
	if o.live == "" || spec == nil || state.StartedAt == nil {
		return never
	}
	wait := o.untilQuiet(policyOf(spec.Crash))
	if state.ReadyAt == nil && !state.Overdue {
		wait = sooner(wait, max(0, state.StartedAt.Add(within(spec.Ready)).Sub(o.m.now())))
	}
	return wait
}
