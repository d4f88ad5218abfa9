package instance_test

import (
	"testing"

	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// TestConvert: the order goes to the node once, and its end is the job's. What
// needs none, or can't be had, gets no job.
func TestConvert(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	before := i.Generation
	if _, j, err := b.instances.Convert(t.Context(), b.admin, i.ID); !problem.Is(err, problem.Conflict) || j.ID != "" {
		t.Errorf("of a disk that nobody knows: %v, %v", j, err)
	}
	plain := wire.Disk{Driver: wire.VolumeDirectory, LimitBytes: 5 << 30}
	b.state(i.ID, func(s *wire.State) { s.Disk = &plain })
	if _, j, err := b.instances.Convert(t.Context(), b.admin, i.ID); !problem.Is(err, problem.Conflict) || j.ID != "" {
		t.Errorf("on a node that can't: %v, %v", j, err)
	}
	if now := b.get(i.ID); now.Generation != before || now.Spec.Convert {
		t.Errorf("a refused order has changed %+v", now)
	}
	plain.Convert = true
	b.state(i.ID, func(s *wire.State) { s.Disk = &plain })
	if d := b.get(i.ID).Detail().DiskState; d == nil || *d != plain {
		t.Errorf("the disk is shown as %+v", d)
	}
	_, j, err := b.instances.Convert(t.Context(), b.owner, i.ID)
	if err != nil || j.Kind != instance.KindConvert {
		t.Fatalf("%+v, %v", j, err)
	}
	if spec := b.handed(i.ID); !spec.Convert || spec.Generation != before+1 {
		t.Errorf("the node is told %+v", spec)
	}
	held := wire.Disk{Driver: wire.VolumePoolImage, Hard: true, LimitBytes: 5 << 30}
	b.state(i.ID, func(s *wire.State) { s.Disk = &held })
	b.ended(j, job.Succeeded)
	again, j, err := b.instances.Convert(t.Context(), b.owner, i.ID)
	if err != nil || j.ID != "" || again.Generation != before+1 {
		t.Errorf("of a volume that is held: %+v, %v", j, err)
	}
	// The wish outlives other changes.
	if _, _, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{DiskMiB: pointer(int64(6000))}); err != nil {
		t.Fatal(err)
	}
	if spec := b.handed(i.ID); !spec.Convert || spec.Limits.DiskMiB != 6000 {
		t.Errorf("the node is told %+v", spec)
	}
}

func TestConvertIsForThoseWhoMay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	b.state(i.ID, func(s *wire.State) { s.Disk = &wire.Disk{Driver: wire.VolumeDirectory, Convert: true} })
	if _, _, err := b.instances.Convert(t.Context(), b.user("stranger"), i.ID); !problem.Is(err, problem.NotFound) {
		t.Errorf("a stranger's: %v", err)
	}
	if b.get(i.ID).Spec.Convert {
		t.Error("a stranger's order counts")
	}
}
