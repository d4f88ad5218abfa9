package instance

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	maxSignals = 8 // of a container that are remembered
	// obeyedWithin is how long a program may take to end on a signal that asks it
	// to: docker stop waits as long as somebody says.
	obeyedWithin = 10 * time.Minute
	// struckWithin is the same for signals that ask for something else, but end
	// programs that don't know them.
	struckWithin = 15 * time.Second
)

// mended is what became of a container that was changed by hand.
type mended struct {
	left   string // what could not be put right: it is not tried again
	remade string // what the container was made anew for
	found  string // what was found last
	tries  int    // at that
}

// maxMends is how often the same change is put right in a row: somebody may make
// it again at that very moment.
const maxMends = 3

// leaves says whether what is done by hand stays so: where the spec says it, and
// once all that its generation asked for is done. What is found before that is
// put right with the rest. The caller holds mu.
func (o *owner) leaves() bool {
	s := o.desired.Spec
	if s == nil || s.Drift != wire.DriftReport || s.Hold || s.Moving {
		return false
	}
	k := o.known
	return k.Told == o.desired.Generation && k.State.Converged && k.State.Failure == nil && k.Applied >= s.Power.Order
}

// mayRun says whether a container that runs is left running. A suspension wins
// over whatever somebody does by hand.
func (o *owner) mayRun(j job) bool {
	return j.runs() || j.leave && !j.desired.Spec.Suspended
}

// endedByHand says whether a container ended because somebody told the engine
// to end it: it got a signal in this life, and soon was down. What Stop and Kill
// send for us is of an earlier life by now.
func (o *owner) endedByHand(c runtime.Container) bool {
	if c.OOMKilled {
		return false
	}
	for _, s := range o.signals {
		if s.ID != c.ID || s.At.Before(c.StartedAt) {
			continue
		}
		within := struckWithin
		switch s.Signal {
		case 2, 3, 9, 15: // INT, QUIT, KILL, TERM
			within = obeyedWithin
		}
		if c.FinishedAt.Sub(s.At) <= within {
			return true
		}
	}
	return false
}

// early says that the container's end was seen before the engine has told of it,
// by a look for another reason: a signal that it got is told just before its end,
// and may still be under way. It is waited for once.
func (o *owner) early() bool {
	c := o.find(o.live)
	if c == nil || isUp(*c) || o.live == o.condemned || o.died {
		o.awaited, o.died = false, false
		return false
	}
	o.awaited = !o.awaited
	return o.awaited
}

func (o *owner) stoppedByHand(j job, now time.Time) {
	if !j.leave {
		o.log.Info("the instance was stopped by hand and is started again")
		o.remark(j, "It was stopped on its node, past Berth, and is started again")
		return
	}
	o.log.Info("the instance was stopped by hand and is left so")
	o.learn(func(k *journal.Known) { k.Halt, k.HaltAt = journal.HaltStopped, now })
}

// observeHand notices that a container was removed by hand, and lifts what no
// longer holds.
func (o *owner) observeHand(j job) {
	known, state := o.know()
	gone := len(o.boxes) == 0 || o.boxes[0].Status == runtime.Dead // which is on its way out
	byHand := known.Halt == journal.HaltStopped || known.Halt == journal.HaltRemoved
	switch {
	case byHand && !j.leave, known.Halt == journal.HaltRemoved && !gone:
		o.learn(func(k *journal.Known) { k.Halt, k.HaltAt = journal.HaltNone, time.Time{} })
	case j.leave && gone && state.Container != "" && known.Halt != journal.HaltRemoved:
		o.log.Info("the container was removed by hand, which is left so")
		now := o.m.now().UTC()
		o.learn(func(k *journal.Known) { k.Halt, k.HaltAt = journal.HaltRemoved, now })
		o.set(j, func(s *wire.State) { s.RetryAt, s.ExitCode, s.OOM = nil, nil, false })
	}
}

// mend gives the container at boxes[0] the limits of its spec, and puts right what
// was changed on it by hand: in place where the engine can, else by a new
// container, once.
func (o *owner) mend(ctx context.Context, j job, spec runtime.ContainerSpec) error {
	if j.leave {
		return nil
	}
	spec, err := o.spare(ctx, spec)
	if err != nil {
		return err
	}
	found := strings.Join(changes(o.boxes[0], spec), "; ")
	switch found {
	case "":
		o.mended = mended{}
		return nil
	case o.mended.left:
		return nil
	}
	if o.mended.found != found {
		o.mended.found, o.mended.tries = found, 0
	}
	o.mended.tries++
	o.log.Info("the container isn't as it should be, and is put right", "found", found)
	if o.boxes[0].Network != spec.Network {
		if err := o.networkAnew(ctx); err != nil {
			return err
		}
	}
	err = o.m.deps.Engine.Repair(ctx, o.boxes[0].ID, spec)
	switch reason := runtime.ReasonOf(err); {
	case ctx.Err() != nil || reason == runtime.Unreachable:
		o.stale = true
		return err
	case reason == runtime.Missing:
		o.stale = true
		return errMoved
	case reason == runtime.InvalidSpec:
		return err // a new container would be refused, too
	case err != nil && o.lowers(spec):
		// It took more just now than it may have: the memory stays until it is down.
		o.log.Warn("the memory can't be lowered while the container runs", "error", err)
		o.refuses(spec)
		o.stale = true
		return errMoved
	case err != nil && reason != runtime.Conflict && o.mended.remade != found:
		o.log.Warn("the container can't be put right in place and is made anew", "error", err)
		o.mended.remade = found
		return o.renew(ctx, j, spec)
	case err != nil:
		o.log.Warn("the container can't be put right", "error", err)
	}
	c, err := o.m.deps.Engine.Inspect(ctx, o.boxes[0].ID)
	if err != nil {
		o.stale = true
		if runtime.ReasonOf(err) == runtime.Missing {
			return errMoved
		}
		return err
	}
	o.replace(c)
	switch still := strings.Join(changes(c, spec), "; "); {
	case still == "":
		o.mended = mended{}
		return nil
	case still == found && o.mended.tries >= maxMends:
		o.mended.left = found
		return nil
	default:
		return errMoved
	}
}

// drift is the sentence of State.Drift.
func (o *owner) drift(j job) string {
	if j.desired.Spec == nil {
		return ""
	}
	if !j.leave {
		if o.mended.left != "" {
			return "the container was changed by hand and can't be put right: " + o.mended.left
		}
		return ""
	}
	switch known, _ := o.know(); known.Halt {
	case journal.HaltRemoved:
		return "the container was removed by hand"
	case journal.HaltStopped:
		return "the container was stopped by hand"
	case journal.HaltNone, journal.HaltEnded, journal.HaltGaveUp, journal.HaltCrashed:
	}
	if len(o.boxes) == 0 {
		return ""
	}
	var found []string
	if o.live != "" && !j.runs() {
		found = append(found, "it was started")
	}
	spec := o.m.containerSpec(*j.desired.Spec)
	if o.fits(o.boxes[0], spec) {
		found = append(found, changes(o.boxes[0], o.spared(spec))...)
	}
	if len(found) == 0 {
		return ""
	}
	return "the container was changed by hand: " + strings.Join(found, "; ")
}

// changes says what of a container isn't as its spec has it. A limit of 0 is one
// that the machine can't hold.
func changes(c runtime.Container, spec runtime.ContainerSpec) []string {
	var list []string
	differs := func(is bool, format string, args ...any) {
		if is {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	differs(c.Status == runtime.Paused, "it is paused")
	differs(c.Name != spec.Name, "it is called %s", c.Name)
	differs(c.MemoryBytes != 0 && c.MemoryBytes != spec.MemoryBytes, "it may use %d MiB of memory instead of %d", c.MemoryBytes>>20, spec.MemoryBytes>>20)
	differs(c.NanoCPUs != 0 && c.NanoCPUs != spec.NanoCPUs, "it may use %.4g cores instead of %.4g", float64(c.NanoCPUs)/1e9, float64(spec.NanoCPUs)/1e9)
	differs(c.PidsLimit == -1 && spec.PidsLimit > 0, "it may have any number of processes instead of %d", spec.PidsLimit)
	differs(c.PidsLimit > 0 && spec.PidsLimit > 0 && c.PidsLimit != spec.PidsLimit, "it may have %d processes instead of %d", c.PidsLimit, spec.PidsLimit)
	differs(c.Network == "" && spec.Network != "", "it is on no network")
	differs(c.Network != "" && c.Network != spec.Network, "it is on the network %s instead of %s", c.Network, spec.Network)
	differs(c.Restarts, "the engine starts it again by itself")
	return list
}
