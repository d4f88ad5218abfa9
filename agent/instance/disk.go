package instance

import (
	"context"
	"io"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/volume"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Volumes are the instances' disks (agent/volume). None of it calls back.
type Volumes interface {
	Path(id ident.Instance) string
	Has(id ident.Instance) (bool, error)
	Make(ctx context.Context, id ident.Instance, limit int64) (created bool, err error)
	Settle(ctx context.Context, id ident.Instance, o volume.Order) error
	Disk(id ident.Instance) *wire.Disk
	Node() *wire.Volumes
	Own(id ident.Instance, uid, gid int) error
	OwnAll(ctx context.Context, id ident.Instance, uid, gid int) error
	Files(id ident.Instance) (*files.Root, error)
	Put(id ident.Instance, path string, uid, gid int, fill func(io.Writer) error) error
	Remove(id ident.Instance) error
}

// settleDisk makes the volume what the spec says, as far as a container that uses
// it allows; without one it is mounted and sound afterwards. moved says that it
// lies elsewhere now: a container of before is not the right one any more.
func (o *owner) settleDisk(ctx context.Context, j job) (moved bool, err error) {
	spec := j.desired.Spec
	before := o.m.deps.Volumes.Path(o.id)
	err = o.m.deps.Volumes.Settle(ctx, o.id, volume.Order{
		LimitBytes: spec.Limits.DiskMiB << 20, Convert: spec.Convert, Live: o.live != "" || len(o.aides) > 0 || o.isHeld(),
		Report: func(p wire.Progress) { o.report(j, p) },
		Free:   o.freeDisk,
	})
	return o.m.deps.Volumes.Path(o.id) != before, err
}

// isHeld says that the container has ended, and still has the volume.
func (o *owner) isHeld() bool { return len(o.boxes) > 0 && o.boxes[0].Held }

// settleForStart is settleDisk of an instance that is started next. What can be done
// only while nothing has the volume ends a container that is held.
func (o *owner) settleForStart(ctx context.Context, j job) (moved bool, err error) {
	moved, err = o.settleDisk(ctx, j)
	if err != nil || !o.isHeld() {
		return moved, err
	}
	if disk := o.m.deps.Volumes.Disk(o.id); disk == nil || disk.Message == "" {
		return moved, nil
	}
	if err := o.letGo(ctx); err != nil {
		return moved, err
	}
	return o.settleDisk(ctx, j)
}

// letGo takes down what is left of a container that is held.
func (o *owner) letGo(ctx context.Context) error {
	if !o.isHeld() {
		return nil
	}
	if err := o.m.deps.Engine.Stop(ctx, o.boxes[0].ID, runtime.StopSpec{}); err != nil {
		o.stale = true
		return err
	}
	o.boxes[0].Held = false
	return nil
}

// freeDisk ends those who have files open while the disk is to be changed.
func (o *owner) freeDisk() {
	if o.m.deps.Writers != nil {
		o.m.deps.Writers.Cut(o.id, problem.New(problem.Conflict, "the disk of instance %s is being changed; go on when that is done", o.id))
	}
}
