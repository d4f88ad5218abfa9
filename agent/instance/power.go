package instance

import (
	"context"
	"time"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/wire"
)

// power carries out a new power order once, and then sees to it that the
// container runs or doesn't.
func (o *owner) power(ctx context.Context, j job) error {
	if err := o.obey(ctx, j); err != nil {
		return err
	}
	if o.condemned != "" {
		if err := o.bringDown(ctx, j); err != nil {
			return err
		}
	}
	if !j.runs() {
		o.set(j, func(s *wire.State) { s.RetryAt = nil })
		if isUp(o.boxes[0]) && !o.mayRun(j) {
			return o.bringDown(ctx, j)
		}
		return o.letGo(ctx)
	}
	known, state := o.know()
	if known.Halt != journal.HaltNone {
		return o.letGo(ctx)
	}
	if o.live != "" || state.RetryAt != nil && state.RetryAt.After(o.m.now()) {
		return nil
	}
	return o.start(ctx, j)
}

// obey carries out what only a new order asks for: a restart's stop, and the
// pardon of earlier exits. It is journalled before the start that follows, so
// that an agent that dies in between starts but doesn't restart.
func (o *owner) obey(ctx context.Context, j job) error {
	order := j.desired.Spec.Power
	if known, _ := o.know(); order.Order <= known.Applied {
		return nil
	}
	if isUp(o.boxes[0]) && (!j.runs() || order.Restart) {
		if err := o.bringDown(ctx, j); err != nil {
			return err
		}
	}
	o.learn(func(k *journal.Known) {
		k.Applied, k.Halt, k.HaltAt, k.Crashes = order.Order, journal.HaltNone, time.Time{}, nil
	})
	o.set(j, func(s *wire.State) { s.RetryAt = nil })
	return nil
}

// bringDown ends the container at boxes[0]: in the way the spec says, or at once
// when a new order says so.
func (o *owner) bringDown(ctx context.Context, j job) error {
	spec := j.desired.Spec
	id := o.boxes[0].ID
	known, _ := o.know()
	force := spec.Power.Force && spec.Power.Want == wire.WantStopped && spec.Power.Order > known.Applied
	o.set(j, func(s *wire.State) { s.Actual = wire.ActualStopping })
	if err := o.tell(); err != nil {
		return err
	}
	o.condemned = id
	err := o.end(ctx, j, id, force)
	if err != nil {
		o.stale = true
		if runtime.ReasonOf(err) == runtime.Missing {
			return errMoved
		}
		return err
	}
	o.condemned, o.live = "", ""
	o.boxes[0].Status = runtime.Exited
	o.set(j, func(s *wire.State) {
		over(s)
		s.Actual, s.ExitCode, s.OOM = wire.ActualStopped, nil, false
	})
	return nil
}

// end asks the container to end and kills it, or kills it at once. A way to ask
// that the engine refuses, such as a signal that isn't one, must not keep an
// instance running that is to stop.
func (o *owner) end(ctx context.Context, j job, id runtime.ContainerID, force bool) error {
	if force {
		o.step(j, "stop", "Killing")
		return o.m.deps.Engine.Kill(ctx, id)
	}
	o.step(j, "stop", "Stopping")
	err := o.m.deps.Engine.Stop(ctx, id, stopSpec(j.desired.Spec.Stop))
	reason := runtime.ReasonOf(err)
	if err == nil || ctx.Err() != nil || reason == runtime.Unreachable || reason == runtime.Missing {
		return err
	}
	o.log.Warn("the container can't be asked to stop and is killed", "error", err)
	o.remark(j, "The container can't be asked to stop and is killed: "+sentence(err))
	return o.m.deps.Engine.Kill(ctx, id)
}

func stopSpec(s wire.Stop) runtime.StopSpec {
	return runtime.StopSpec{Command: s.Command, Signal: s.Signal, Grace: time.Duration(s.GraceSeconds) * time.Second}
}

// start starts the container at boxes[0] and looks at what became of it.
func (o *owner) start(ctx context.Context, j job) error {
	if moved, err := o.settleForStart(ctx, j); err != nil || moved {
		if err == nil {
			err = errMoved
		}
		return err
	}
	if err := o.catchUp(ctx, j); err != nil {
		return err
	}
	o.noteCrash()
	begun := o.m.now().UTC()
	o.learn(func(k *journal.Known) { k.Begun = begun })
	o.set(j, func(s *wire.State) {
		over(s)
		s.Actual = wire.ActualStarting
	})
	if err := o.tell(); err != nil {
		return err
	}
	o.step(j, "start", "Starting")
	if err := o.patch(ctx, j); err != nil {
		o.stale = true
		return err
	}
	c, err := o.startAndLook(ctx, o.boxes[0].ID)
	if err != nil {
		o.stale = true
		if ctx.Err() == nil && runtime.ReasonOf(err) == runtime.Unknown {
			o.spoilt = o.boxes[0].ID
		}
		if runtime.ReasonOf(err) == runtime.Missing {
			return errMoved
		}
		return err
	}
	o.replace(c)
	if isUp(c) {
		o.adopt(j, c)
		return nil
	}
	o.live = c.ID
	o.ended(j, c)
	return nil
}

func (o *owner) networkAnew(ctx context.Context) error {
	if err := o.m.forgetNetwork(ctx); err != nil {
		return err
	}
	return o.m.ensureNetwork(ctx)
}

func (o *owner) startAndLook(ctx context.Context, id runtime.ContainerID) (runtime.Container, error) {
	if err := o.m.work.enter(ctx); err != nil {
		return runtime.Container{}, err
	}
	defer o.m.work.leave()
	o.m.deps.Console.Begin(ctx, o.boxes[0])
	begun := o.m.now().UTC() // what the life before has printed is in the record by now
	o.learn(func(k *journal.Known) { k.Begun = begun })
	err := o.m.deps.Engine.Start(ctx, id)
	if runtime.ReasonOf(err) == runtime.InvalidSpec { // most likely somebody removed the network
		if err := o.networkAnew(ctx); err != nil {
			return runtime.Container{}, err
		}
		err = o.m.deps.Engine.Start(ctx, id)
	}
	if err != nil {
		return runtime.Container{}, err
	}
	return o.m.deps.Engine.Inspect(ctx, id)
}
