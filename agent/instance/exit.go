package instance

import (
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
	// lastGasp is how long before the event stream's break an exit may have been
	// the engine's doing: it gives its containers 15 s when it ends.
	lastGasp = 20 * time.Second
)

// ended judges the exit of a container that ran under our eyes.
func (o *owner) ended(j job, c runtime.Container) {
	o.live = ""
	now := o.m.now().UTC()
	code := c.ExitCode
	o.set(j, func(s *wire.State) {
		s.StartedAt, s.RetryAt, s.ExitCode, s.OOM = nil, nil, &code, c.OOMKilled
	})
	if !j.runs() {
		return // it was to stop anyway
	}
	if o.endedByHand(c) {
		o.stoppedByHand(j, now)
		return
	}
	if code == 0 && !c.OOMKilled {
		o.log.Info("the instance ended by itself")
		o.learn(func(k *journal.Known) { k.Halt, k.HaltAt = journal.HaltEnded, now })
		return
	}
	known, _ := o.know()
	crashes, wait := judge(known.Crashes, c.FinishedAt.Sub(c.StartedAt), now)
	o.log.Warn("the instance crashed", "exit_code", code, "oom", c.OOMKilled, "again_in", wait)
	o.learn(func(k *journal.Known) {
		k.Crashes = crashes
		if wait == never {
			k.Halt, k.HaltAt = journal.HaltGaveUp, now
		}
	})
	if wait != never {
		again := now.Add(wait)
		o.set(j, func(s *wire.State) { s.Actual, s.RetryAt = wire.ActualCrashed, &again })
	}
}

// judge adds a crash to the record and says how long to wait before the next
// start, or never. ran is how long the container had run.
func judge(crashes []time.Time, ran time.Duration, now time.Time) ([]time.Time, time.Duration) {
	if ran >= quietTime {
		crashes = nil
	}
	crashes = append(append([]time.Time(nil), crashes...), now)
	recent := 0
	for _, at := range crashes {
		if now.Sub(at) < crashWindow {
			recent++
		}
	}
	if recent >= crashLimit {
		return crashes, never
	}
	backoff := maxBackoffUp
	if n := len(crashes) - 1; n == 0 {
		backoff = 0
	} else if n < 16 {
		backoff = min(backoff, firstBackoff<<(n-1))
	} else {
		crashes = crashes[len(crashes)-16:] // enough to stay at the longest wait
	}
	return crashes, backoff
}

// distrust takes back what exits shortly before the stream's break were held for.
func (o *owner) distrust(broke time.Time) {
	known, _ := o.know()
	since := broke.Add(-lastGasp)
	var before []time.Time
	for _, at := range known.Crashes {
		if at.Before(since) {
			before = append(before, at)
		}
	}
	lifted := known.Halt != journal.HaltNone && !known.HaltAt.Before(since)
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
	}
	o.unsaved = true
}
