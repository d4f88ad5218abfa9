package instance_test

import (
	"slices"
	"testing"

	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready(ports(30000, 30001))
	heir := b.user("heir")
	// Name and owner are no matter of the node's.
	got, j, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{Name: pointer("new"), Owner: &heir.User})
	if err != nil || j.ID != "" || got.Name != "new" || got.Owner != heir.User || got.Generation != 1 {
		t.Errorf("%+v %+v %v", got, j, err)
	}
	_, j, err = b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{
		Reference: pointer("example/game:2"), MemoryMiB: pointer(int64(1024)), NanoCPUs: pointer(int64(4e9)), DiskMiB: pointer(int64(10240)),
		Ports: &[]allocation.Mapping{{Host: 30001, Container: 1, Primary: true}, {Host: 30002, Container: 2}}, Variables: &map[string]string{"NEW": "x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	spec := b.handed(i.ID)
	if spec.Image.Reference != "example/game:2" || spec.Limits != (wire.Limits{MemoryMiB: 1024, NanoCPUs: 4e9, DiskMiB: 10240}) || spec.Power.Order != 1 ||
		!slices.Equal(spec.Env, []string{"FROM=image", "MAP=hills", "NEW=x", "PRIMARY_PORT=1"}) ||
		!slices.Equal(spec.Ports, []wire.Port{{IP: "0.0.0.0", Host: 30001, Container: 1, Primary: true}, {IP: "0.0.0.0", Host: 30002, Container: 2}}) {
		t.Errorf("%+v", spec)
	}
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	if n := b.rows()["allocations"]; n != 2 {
		t.Errorf("%d allocations", n)
	}
	// The same again is no change.
	if _, j, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{MemoryMiB: pointer(int64(1024))}); err != nil || j.ID != "" {
		t.Errorf("%+v %v", j, err)
	}
}

// What is done about changes by hand is told to the node, touches nothing else,
// and what is left of them is shown; an end by hand is not one by itself.
func TestDrift(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready(ports(30000))
	if v := b.get(i.ID).View(); v.DriftPolicy != wire.DriftRepair || v.Drift != "" {
		t.Errorf("%+v", v)
	}
	if _, j, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{Drift: pointer(wire.DriftRepair)}); err != nil || j.ID != "" {
		t.Errorf("the same again: %+v %v", j, err)
	}
	before := b.get(i.ID).Spec
	_, j, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{Drift: pointer(wire.DriftReport)})
	if err != nil {
		t.Fatal(err)
	}
	before.Generation, before.Drift = before.Generation+1, wire.DriftReport
	if got := b.handed(i.ID); !follows(got, before) {
		t.Errorf("the node is told %+v, want %+v", got, before)
	}
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	zero := 0
	const said = "the container was stopped by hand"
	b.say(b.node, wire.Event{Type: wire.EventState, Instance: i.ID, Generation: before.Generation, State: &wire.State{
		Phase: wire.PhaseReady, Actual: wire.ActualStopped, Converged: true, ExitCode: &zero, Drift: said,
	}})
	got := b.get(i.ID)
	if v := got.View(); v.DriftPolicy != wire.DriftReport || v.Drift != said || v.Power != wire.WantRunning {
		t.Errorf("%+v", v)
	}
	listed, _, err := b.instances.List(t.Context(), b.admin, instance.Filter{})
	if err != nil || len(listed) != 1 || listed[0].Drift != said || listed[0].DriftPolicy != wire.DriftReport {
		t.Errorf("%+v %v", listed, err)
	}
	// Another change keeps the policy.
	if _, _, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{MemoryMiB: pointer(int64(100))}); err != nil {
		t.Fatal(err)
	}
	if spec := b.handed(i.ID); spec.Drift != wire.DriftReport {
		t.Errorf("%+v", spec)
	}
	_, _, err = b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{Drift: pointer(wire.Drift("ignore"))})
	if !problem.Is(err, problem.Validation) {
		t.Errorf("a policy that is none: %v", err)
	}
}

func TestChangeRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i, other := b.ready(ports(30000)), b.ready(ports(30001))
	for name, c := range map[string]struct {
		p    instance.Patch
		code problem.Code
	}{
		"more memory than there is": {instance.Patch{MemoryMiB: pointer(int64(1024 - 128 + 1))}, problem.InsufficientResources},
		"more disk than there is":   {instance.Patch{DiskMiB: pointer(int64(10240))}, problem.InsufficientResources},
		"too little memory":         {instance.Patch{MemoryMiB: pointer(int64(5))}, problem.Validation},
		"more cores than there are": {instance.Patch{NanoCPUs: pointer(int64(5e9))}, problem.Validation},
		"no owner":                  {instance.Patch{Owner: pointer(ident.User("nobody"))}, problem.Validation},
		"no such reference":         {instance.Patch{Reference: pointer("example/other:1")}, problem.Validation},
		"another's port":            {instance.Patch{Ports: &[]allocation.Mapping{{Host: 30001, Container: 1, Primary: true}}}, problem.Conflict},
		"no name":                   {instance.Patch{Name: pointer(" ")}, problem.Validation},
		"a bad variable":            {instance.Patch{Variables: &map[string]string{"": "x"}}, problem.Validation},
	} {
		b.nothing(name, c.code, func() error {
			_, _, err := b.instances.Change(t.Context(), b.admin, i.ID, c.p)
			return err
		})
	}
	for _, id := range []ident.Instance{i.ID, other.ID} {
		if got := b.get(id); got.Generation != 1 || len(got.Spec.Ports) != 1 {
			t.Errorf("%+v", got)
		}
	}
}

// An owner names, sets variables and gives power orders; the rest is an admin's.
// Another user's instance isn't there.
func TestRights(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	stranger := b.user("stranger")
	for name, p := range map[string]instance.Patch{
		"memory": {MemoryMiB: pointer(int64(64))}, "cpu": {NanoCPUs: pointer(int64(1e9))}, "disk": {DiskMiB: pointer(int64(1))},
		"owner": {Owner: &stranger.User}, "ports": {Ports: &[]allocation.Mapping{}}, "reference": {Reference: pointer("example/game:2")},
	} {
		b.nothing(name, problem.Forbidden, func() error {
			_, _, err := b.instances.Change(t.Context(), b.owner, i.ID, p)
			return err
		})
	}
	_, j, err := b.instances.Change(t.Context(), b.owner, i.ID, instance.Patch{Name: pointer("mine"), Variables: &map[string]string{"MAP": "sea"}})
	if err != nil {
		t.Fatal(err)
	}
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	for name, f := range map[string]func() error{
		"get":   func() error { _, err := b.instances.Get(t.Context(), stranger, i.ID); return err },
		"power": func() error { _, _, err := b.instances.Power(t.Context(), stranger, i.ID, instance.Kill); return err },
		"rename": func() error {
			_, _, err := b.instances.Change(t.Context(), stranger, i.ID, instance.Patch{Name: pointer("x")})
			return err
		},
		"delete": func() error { _, _, err := b.instances.Delete(t.Context(), stranger, i.ID); return err },
		"job":    func() error { _, err := b.jobs.Cancel(t.Context(), stranger, j.ID); return err },
	} {
		b.nothing(name, problem.NotFound, f)
	}
	if items, n, err := b.instances.List(t.Context(), stranger, instance.Filter{Owner: b.owner.User}); err != nil || n != 0 || len(items) != 0 {
		t.Errorf("a stranger lists %v, %v", items, err)
	}
	if _, n, err := b.instances.List(t.Context(), b.owner, instance.Filter{}); err != nil || n != 1 {
		t.Errorf("the owner lists %d, %v", n, err)
	}
}
