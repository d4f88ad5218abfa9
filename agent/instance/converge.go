package instance

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// converge makes the instance what the job's spec says. settled means that this
// generation has failed before and nothing was tried again.
func (o *owner) converge(ctx context.Context, j job) (settled bool, err error) {
	spec := o.m.containerSpec(*j.desired.Spec)
	if err := o.look(ctx); err != nil {
		return false, err
	}
	if o.early() {
		return false, errMoved
	}
	o.observe(j, spec)
	if !o.mayRun(j) && o.live != "" {
		// First of all, and whatever else fails: a stop or a suspension must not
		// wait for an image that can't be had.
		if err := o.bringDown(ctx, j); err != nil {
			return false, err
		}
	}
	if err := o.dismiss(ctx, j); err != nil {
		return false, err
	}
	if j.desired.Spec.Hold || j.desired.Spec.Suspended && o.scriptDue(j.desired.Spec) {
		o.hold(j)
		return true, nil
	}
	if j.desired.Spec.Moving && !j.desired.Spec.Copied {
		return true, o.rest(ctx, j)
	}
	if known, _ := o.know(); known.Halt == journal.HaltRemoved {
		return true, nil
	}
	if o.failed == j.desired.Generation {
		if o.untilTry() != 0 {
			return true, nil
		}
		o.failed = 0 // a crashed one's next start is a new try
	}
	if err := o.anew(ctx, j); err != nil {
		return false, err
	}
	if _, err := o.settleDisk(ctx, j); err != nil {
		return false, err
	}
	spec = o.m.containerSpec(*j.desired.Spec) // the volume may lie elsewhere now
	if err := o.ensureContainer(ctx, j, spec); err != nil {
		return false, err
	}
	o.fence(j) // before it runs
	if err := o.power(ctx, j); err != nil {
		return false, err
	}
	o.fence(j) // of a run that has just begun
	return false, nil
}

// hold leaves everything as it is: the deployment was called off, and the turn
// that was at it has been interrupted by this spec.
func (o *owner) hold(j job) {
	o.set(j, func(s *wire.State) {
		s.Failure, s.Converged = nil, true
		if s.Phase != wire.PhaseReady {
			s.Phase = wire.PhaseFailed
		}
	})
}

// ensureContainer leaves exactly one container, the right one, at boxes[0], with
// its volume ready to be used.
func (o *owner) ensureContainer(ctx context.Context, j job, spec runtime.ContainerSpec) error {
	if len(o.boxes) == 0 || !o.fits(o.boxes[0], spec) || o.boxes[0].Status == runtime.Dead || o.boxes[0].ID == o.spoilt {
		if err := o.renew(ctx, j, spec); err != nil {
			return err
		}
	} else if old, err := o.outdated(ctx, j); err != nil {
		return err
	} else if old {
		if err := o.renew(ctx, j.asked(), spec); err != nil {
			return err
		}
	}
	if err := o.removeFrom(ctx, 1); err != nil {
		return err
	}
	if err := o.mend(ctx, j, spec); err != nil {
		return err
	}
	if o.live != "" {
		return nil // what it runs with is in place
	}
	return o.prepare(ctx, j)
}

// renew makes the container anew. What can fail without harm comes first, while
// the old one still runs.
func (o *owner) renew(ctx context.Context, j job, spec runtime.ContainerSpec) error {
	if err := o.beginInstall(j); err != nil {
		return err
	}
	if err := o.ensureImage(ctx, j); err != nil {
		return err
	}
	if err := o.ensureVolume(ctx, j); err != nil {
		return err
	}
	if err := o.m.ensureNetwork(ctx); err != nil {
		return err
	}
	if len(o.boxes) > 0 && isUp(o.boxes[0]) {
		if err := o.bringDown(ctx, j); err != nil {
			return err
		}
	}
	if j.leave && len(o.boxes) > 0 { // or an agent that is killed now takes it for somebody's doing
		o.set(j, func(s *wire.State) { s.Container = "" })
		if err := o.tell(); err != nil {
			return err
		}
	}
	if err := o.removeFrom(ctx, 0); err != nil {
		return err
	}
	err := o.create(ctx, j, spec)
	if runtime.ReasonOf(err) == runtime.ImageMissing { // somebody removed it meanwhile
		if err := o.ensureImage(ctx, j); err != nil {
			return err
		}
		err = o.create(ctx, j, spec)
	}
	if err != nil {
		return err
	}
	return o.noteDigest(ctx, j)
}

// beginInstall tells that an instance that was never ready is being made.
func (o *owner) beginInstall(j job) error {
	o.set(j, func(s *wire.State) {
		if s.Phase == wire.PhaseReady {
			return
		}
		s.Phase = wire.PhaseInstalling
		if o.live == "" {
			s.Actual = wire.ActualStopped
		}
	})
	return o.tell()
}

// removeFrom removes the containers from the n-th on.
func (o *owner) removeFrom(ctx context.Context, n int) error {
	for len(o.boxes) > n {
		last := len(o.boxes) - 1
		if err := o.m.deps.Engine.Remove(ctx, o.boxes[last].ID); err != nil && runtime.ReasonOf(err) != runtime.Missing {
			o.unsure = true
			return err
		}
		if o.boxes[last].ID == o.live {
			o.live = ""
		}
		o.boxes = o.boxes[:last]
	}
	return nil
}

// createGrace is how long a create may go on after the turn was interrupted. An
// engine that was told to make a container makes it even when its caller has
// gone: only the answer says that there is one to be removed.
const createGrace = 5 * time.Second

func (o *owner) create(ctx context.Context, j job, spec runtime.ContainerSpec) error {
	o.step(j, "create", "Creating the container")
	if err := o.m.work.enter(ctx); err != nil {
		return err
	}
	defer o.m.work.leave()
	ctx, cancel := outlast(ctx, createGrace)
	defer cancel()
	id, err := o.m.deps.Engine.Create(ctx, spec)
	if runtime.ReasonOf(err) == runtime.Conflict { // one that an interrupted create left, or that a lost journal forgot
		o.unsure = true
		if err := o.look(ctx); err != nil {
			return err
		}
		if len(o.boxes) > 0 && o.fits(o.boxes[0], spec) && o.boxes[0].Status != runtime.Dead {
			o.observe(j, spec)
			return nil // it is the right one: it may be running
		}
		if err := o.removeFrom(ctx, 0); err != nil {
			return err
		}
		id, err = o.m.deps.Engine.Create(ctx, spec)
	}
	if err != nil {
		o.unsure = true
		return err
	}
	o.boxes = []runtime.Container{{
		ID: id, Name: spec.Name, Instance: o.id, Generation: spec.Generation, SpecHash: spec.SpecHash, Status: runtime.Created,
		MemoryBytes: spec.MemoryBytes, NanoCPUs: spec.NanoCPUs, PidsLimit: spec.PidsLimit, Network: spec.Network, MAC: spec.MAC,
	}}
	return nil
}

// outlast gives a context that ends the grace later than ctx does.
func outlast(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}

// ensureVolume makes the data directory. One that had to be made is new: nobody
// owns it yet and nothing is installed in it. One that was copied is never made:
// it is there, or comes from what was copied.
func (o *owner) ensureVolume(ctx context.Context, j job) error {
	if j.desired.Spec.Copied {
		if o.m.deps.Moves == nil {
			return problem.New(problem.Conflict, "this agent can't take volumes over from other nodes")
		}
		if err := o.m.deps.Moves.Adopt(o.id); err != nil {
			return err
		}
		if known, _ := o.know(); !known.Installed {
			o.learn(func(k *journal.Known) { k.Installed = true })
		}
		return nil
	}
	if err := o.mayMake(j); err != nil {
		return err
	}
	created, err := o.m.deps.Volumes.Make(ctx, o.id, j.desired.Spec.Limits.DiskMiB<<20)
	if err != nil {
		return err
	}
	if created {
		o.learn(func(k *journal.Known) { k.Owner, k.Installed = nil, false })
	}
	return nil
}

// prepare gives the volume to the image's user and installs into it, each once.
func (o *owner) prepare(ctx context.Context, j job) error {
	if err := o.ensureVolume(ctx, j); err != nil {
		return err
	}
	known, _ := o.know()
	if known.Owner == nil {
		owner, err := o.imageUser(ctx, j)
		if err != nil {
			return err
		}
		if !j.desired.Spec.Copied { // that one's owner came with it
			if err := o.m.deps.Volumes.Own(o.id, owner.UID, owner.GID); err != nil {
				return err
			}
		}
		o.learn(func(k *journal.Known) { k.Owner = &owner })
		known.Owner = &owner
	}
	if known.Installed {
		return nil
	}
	if err := o.install(ctx, j, *known.Owner); err != nil {
		return err
	}
	o.learn(func(k *journal.Known) { k.Installed, k.Bare = true, false })
	return nil
}

// explain makes a failure one for people, without its cause: it goes over the wire.
func explain(err error) *problem.Problem {
	var p *problem.Problem
	if errors.As(err, &p) {
		return &problem.Problem{Code: p.Code, Message: p.Message, Fields: p.Fields}
	}
	var f *runtime.Failure
	if errors.As(err, &f) {
		return explainEngine(f)
	}
	if files.Full(err) {
		return problem.New(problem.InsufficientResources, "the node's disk %s", files.Fullness(err))
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return problem.New(problem.Internal, "the instance's volume can't be used: %s", path.Err)
	}
	return problem.New(problem.Internal, "something went wrong on the node; the agent's log says what")
}

// explainEngine is the one place that turns an engine's reason into what the
// instance's owner reads.
func explainEngine(f *runtime.Failure) *problem.Problem {
	switch f.Reason {
	case runtime.ImageMissing, runtime.ImageNotFound, runtime.Missing:
		return problem.New(problem.NotFound, "%s", f.Message)
	case runtime.ImageDenied:
		return problem.New(problem.Forbidden, "%s", f.Message)
	case runtime.RegistryDown:
		return problem.New(problem.ResourceBusy, "%s", f.Message)
	case runtime.RegistryLimited:
		return problem.New(problem.RateLimited, "%s", f.Message)
	case runtime.NoSpace:
		return problem.New(problem.InsufficientResources, "%s", f.Message)
	case runtime.Conflict, runtime.PortInUse:
		return problem.New(problem.Conflict, "%s", f.Message)
	case runtime.ImageWrongArch, runtime.AddressNotHere, runtime.BadReference, runtime.CommandNotFound, runtime.InvalidSpec:
		return problem.New(problem.Validation, "%s", f.Message)
	case runtime.Unreachable:
		return problem.New(problem.NodeOffline, "%s", f.Message)
	default:
		return problem.New(problem.Internal, "%s", f.Message)
	}
}

// sentence is what an engine's error says to people.
func sentence(err error) string {
	var f *runtime.Failure
	if errors.As(err, &f) {
		return f.Message
	}
	return "the container engine doesn't answer"
}
