package instance

import (
	"slices"
	"time"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	firstBackoff = time.Second // of the second crash; the first is restarted at once
	maxBackoffUp = 5 * time.Minute
	crashLimit   = 5
	crashWindow  = 10 * time.Minute // so many crashes in it are too many
	quietTime    = 10 * time.Minute // a run of that length clears the record
	fewestKept   = 16               // crashes that are remembered: enough to stay at the longest wait
	// lastGasp is how long before the event stream's break an exit may have been
	// the engine's doing: it gives its containers 15 s when it ends.
	lastGasp = 20 * time.Second
)

// policy is a wire.Crash with its defaults filled in.
type policy struct {
	restart       wire.Restart
	clean         []int
	limit         int // -1 is none
	window, quiet time.Duration
}

func policyOf(c wire.Crash) policy {
	p := policy{restart: c.Restart, clean: c.CleanCodes, limit: c.Limit, window: crashWindow, quiet: quietTime}
	if p.restart == "" {
		p.restart = wire.RestartOnFailure
	}
	if p.limit == 0 {
		p.limit = crashLimit
	}
	if c.WindowSeconds > 0 {
		p.window = time.Duration(c.WindowSeconds) * time.Second
	}
	if c.QuietSeconds > 0 {
		p.quiet = time.Duration(c.QuietSeconds) * time.Second
	}
	return p
}

// inOrder says whether a container ended without an error. Want of memory always
// is one.
func (p policy) inOrder(code int, oom bool) bool {
	return !oom && (code == 0 || slices.Contains(p.clean, code))
}

// ended judges the exit of a container that ran under our eyes.
func (o *owner) ended(j job, c runtime.Container) {
	o.live = ""
	now := o.m.now().UTC()
	if c.Held {
		o.sure = append(o.sure[max(0, len(o.sure)-fewestKept):], now)
		o.m.deps.Console.Settle(c)
	}
	code := c.ExitCode
	o.set(j, func(s *wire.State) {
		over(s)
		s.ExitCode, s.OOM = &code, c.OOMKilled
	})
	if !j.runs() {
		return // it was to stop anyway
	}
	if o.endedByHand(c) {
		o.stoppedByHand(j, now)
		return
	}
	p := policyOf(j.desired.Spec.Crash)
	inOrder := p.inOrder(code, c.OOMKilled)
	if inOrder && p.restart != wire.RestartAlways {
		o.log.Info("the instance ended by itself", "exit_code", code)
		o.learn(func(k *journal.Known) { k.Halt, k.HaltAt = journal.HaltEnded, now })
		return
	}
	o.crashed(j, c, p, inOrder, now)
}

// crashed does what the policy says about an end that is to be put right: one
// with an error, or any.
func (o *owner) crashed(j job, c runtime.Container, p policy, inOrder bool, now time.Time) {
	known, _ := o.know()
	crashes, wait := judge(known.Crashes, c.FinishedAt.Sub(c.StartedAt), now, p)
	halt := journal.HaltNone
	switch {
	case p.restart == wire.RestartNever:
		halt, wait = journal.HaltCrashed, never
	case wait == never:
		halt = journal.HaltGaveUp
	}
	o.log.Warn("the instance ended by itself", "exit_code", c.ExitCode, "oom", c.OOMKilled, "in_order", inOrder, "crashes", len(crashes), "again_in", wait)
	o.learn(func(k *journal.Known) {
		if k.Crashes = crashes; halt != journal.HaltNone {
			k.Halt, k.HaltAt = halt, now
		}
	})
	o.set(j, func(s *wire.State) {
		s.Actual, s.Crashes, s.GaveUp = wire.ActualCrashed, len(crashes), halt == journal.HaltGaveUp
		if inOrder && !s.GaveUp {
			s.Actual = wire.ActualStopped
		}
		if wait != never {
			again := now.Add(wait)
			s.RetryAt = &again
		}
	})
}

// judge adds a crash to the record and says how long to wait before the next
// start, or never. ran is how long the container had run.
func judge(crashes []time.Time, ran time.Duration, now time.Time, p policy) ([]time.Time, time.Duration) {
	if ran >= p.quiet {
		crashes = nil
	}
	crashes = append(append([]time.Time(nil), crashes...), now)
	crashes = crashes[max(0, len(crashes)-max(fewestKept, p.limit)):]
	recent := 0
	for _, at := range crashes {
		if now.Sub(at) < p.window {
			recent++
		}
	}
	if p.limit > 0 && recent >= p.limit {
		return crashes, never
	}
	switch n := len(crashes) - 1; {
	case n == 0:
		return crashes, 0
	case n < fewestKept-1:
		return crashes, min(maxBackoffUp, firstBackoff<<(n-1))
	default:
		return crashes, maxBackoffUp
	}
}

// untilQuiet is the wait until a run is long enough to clear the record, or never.
func (o *owner) untilQuiet(p policy) time.Duration {
	known, state := o.know()
	if o.live == "" || state.StartedAt == nil || len(known.Crashes) == 0 {
		return never
	}
	return max(0, state.StartedAt.Add(p.quiet).Sub(o.m.now()))
}

// distrust takes back what exits shortly before the stream's break were held for: the
// engine's going down may have been what ended them. It wasn't where the container was up.
func (o *owner) distrust(broke time.Time) {
	known, _ := o.know()
	since := broke.Add(-lastGasp)
	var before []time.Time
	for _, at := range known.Crashes {
		if at.Before(since) || slices.Contains(o.sure, at) {
			before = append(before, at)
		}
	}
	lifted := known.Halt != journal.HaltNone && !known.HaltAt.Before(since) && !slices.Contains(o.sure, known.HaltAt)
	if !lifted && len(before) == len(known.Crashes) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if lifted {
		o.known.Halt = journal.HaltNone
	}
	if len(before) != len(known.Crashes) {
		o.known.Crashes, o.state.RetryAt = before, nil
		o.state.Crashes = len(before)
	}
	o.unsaved = true
}
