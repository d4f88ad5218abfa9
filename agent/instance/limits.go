package instance

import (
	"context"
	"fmt"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
)

// deferred is a memory limit that a run is spared: it is lower than what the run
// uses, and the kernel would end the run to hold it. The next start has it.
type deferred struct {
	container runtime.ContainerID
	used      int64     // bytes, when it was asked last
	limit     int64     // bytes that it should have
	refused   time.Time // when the engine tried and could not; zero: it did not try
}

// sentence says so to people, of the container that runs.
func (d deferred) sentence(live runtime.ContainerID) string {
	switch {
	case d.limit == 0 || d.container != live:
		return ""
	case !d.refused.IsZero():
		return fmt.Sprintf("its memory limit of %d MiB holds from its next start on: less could not be had from what runs", d.limit>>20)
	default:
		return fmt.Sprintf("its memory limit of %d MiB holds from its next start on: it uses %d MiB now", d.limit>>20, d.used>>20)
	}
}

const (
	// spareShare is how much of a lower limit a run may use, in percent, when it is
	// put in place: what it uses changes while it is.
	spareShare = 90
	// spareFor is how long a limit that an engine could not lower is left.
	spareFor = time.Minute
)

// spare gives the spec that the container at boxes[0] can bear now: one that runs
// keeps its memory while it uses more than it should have.
func (o *owner) spare(ctx context.Context, spec runtime.ContainerSpec) (runtime.ContainerSpec, error) {
	if !o.lowers(spec) {
		o.deferred = deferred{}
		return spec, nil
	}
	was := o.deferred
	if was.container != o.boxes[0].ID || was.limit != spec.MemoryBytes || o.m.now().Sub(was.refused) >= spareFor {
		was.refused = time.Time{}
	}
	usage, err := o.m.deps.Engine.Stats(ctx, o.boxes[0].ID)
	switch reason := runtime.ReasonOf(err); {
	case err == nil:
	case reason == runtime.Conflict || reason == runtime.Missing: // it has ended just now
		o.stale = true
		return spec, errMoved
	default:
		return spec, err
	}
	if was.refused.IsZero() && usage.MemoryBytes <= spec.MemoryBytes/100*spareShare {
		o.deferred = deferred{}
		return spec, nil
	}
	o.deferred = deferred{container: o.boxes[0].ID, used: usage.MemoryBytes, limit: spec.MemoryBytes, refused: was.refused}
	spec.MemoryBytes = o.boxes[0].MemoryBytes
	return spec, nil
}

// refuses notes that the engine could not lower the limit.
func (o *owner) refuses(spec runtime.ContainerSpec) {
	o.deferred = deferred{container: o.boxes[0].ID, limit: spec.MemoryBytes, refused: o.m.now()}
}

// lowers says whether the spec takes memory away from a container that runs.
func (o *owner) lowers(spec runtime.ContainerSpec) bool {
	box := o.boxes[0]
	return isUp(box) && box.MemoryBytes > spec.MemoryBytes
}

// spared is the spec with what the run was spared: that is nobody's doing by hand.
func (o *owner) spared(spec runtime.ContainerSpec) runtime.ContainerSpec {
	if box := o.find(o.live); box != nil && o.deferred.container == box.ID && o.deferred.limit == spec.MemoryBytes {
		spec.MemoryBytes = box.MemoryBytes
	}
	return spec
}

// catchUp gives a container that is down what its last run was spared.
func (o *owner) catchUp(ctx context.Context, j job) error {
	if o.deferred.limit == 0 {
		return nil
	}
	j.leave = false
	return o.mend(ctx, j, o.m.containerSpec(*j.desired.Spec))
}
