package instance

import (
	"errors"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	firstAgain = 2 * time.Second // doubling with each try
	maxAgain   = 5 * time.Minute
)

// again is when a generation that has failed is tried again without an order.
type again struct {
	generation int64
	tries      int
	at         time.Time // zero: never
}

// passes says whether what an engine refused may work later without anybody
// changing the instance: somebody else's port, a full disk, an engine that has
// just come back and has not put everything in order.
func passes(r runtime.Reason) bool {
	switch r {
	case runtime.Unknown, runtime.NoSpace, runtime.PortInUse, runtime.Conflict, runtime.RegistryDown, runtime.RegistryLimited:
		return true
	default:
		return false
	}
}

// settleFor is how long what was cut off is tried again: an engine that comes back
// puts itself in order first.
const settleFor = time.Minute

// severed is a generation that was under way when the engine or the agent went down,
// of an instance that was never ready: nobody has heard yet whether it fails.
type severed struct {
	generation int64
	until      time.Time
}

// tryAgain plans the next try of a generation that has failed just now, and says
// whether nobody is to hear of it yet. Only of an instance that was ready, or that
// was cut off: whoever deploys another one is told, and decides.
func (o *owner) tryAgain(j job, err error) (quiet bool) {
	if o.again.generation != j.desired.Generation {
		o.again = again{generation: j.desired.Generation}
	}
	o.again.at = time.Time{}
	if !passes(runtime.ReasonOf(err)) {
		return false
	}
	now := o.m.now()
	wait := min(maxAgain, firstAgain<<min(o.again.tries, 10))
	if _, state := o.know(); state.Phase != wire.PhaseReady {
		var engine *runtime.Failure
		if !errors.As(err, &engine) || o.severed.generation != j.desired.Generation || !now.Before(o.severed.until) {
			return false
		}
		wait, quiet = min(wait, o.severed.until.Sub(now)), true
		if len(o.boxes) > 0 {
			o.spoilt = o.boxes[0].ID // what there is of it may be half a container: it is made anew
		}
	}
	o.again.at = now.Add(wait)
	o.again.tries++
	return quiet
}

// untilAgain is the wait until a failed generation is tried again, or never.
func (o *owner) untilAgain() time.Duration {
	if o.failed == 0 || o.failed != o.again.generation || o.again.at.IsZero() {
		return never
	}
	return max(0, o.again.at.Sub(o.m.now()))
}

// untilTry is the wait until a start is tried again without an order, or never.
func (o *owner) untilTry() time.Duration { return sooner(o.untilRetry(), o.untilAgain()) }

// untilNext is the wait until something is due by itself, or never.
func (o *owner) untilNext() time.Duration { return sooner(o.untilTry(), o.untilOld()) }

// sooner is the shorter of two waits.
func sooner(a, b time.Duration) time.Duration {
	switch {
	case a == never:
		return b
	case b == never:
		return a
	default:
		return min(a, b)
	}
}
