package instance_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// remove deletes an instance and lets its node say that it is gone.
func (b *bundle) remove(id ident.Instance) {
	b.t.Helper()
	_, j, err := b.instances.Delete(b.t.Context(), b.admin, id)
	if err != nil {
		b.t.Fatal(err)
	}
	b.until("the node is told", func() bool { return b.agents.removals(id) > 0 })
	b.say(b.node, wire.Event{Type: wire.EventRemoved, Instance: id})
	b.ended(j, job.Succeeded)
}

func (b *bundle) power(id ident.Instance, v instance.Verb) job.Job {
	b.t.Helper()
	_, j, err := b.instances.Power(b.t.Context(), b.admin, id, v)
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

func (b *bundle) suspend(id ident.Instance, reason string) job.Job {
	b.t.Helper()
	_, j, err := b.instances.Suspend(b.t.Context(), b.admin, id, reason)
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

func (b *bundle) unsuspend(id ident.Instance) job.Job {
	b.t.Helper()
	_, j, err := b.instances.Unsuspend(b.t.Context(), b.admin, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

func TestPowerOrders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	for _, c := range []struct {
		verb instance.Verb
		want wire.Power
	}{
		{instance.Stop, wire.Power{Want: wire.WantStopped, Order: 2}},
		{instance.Start, wire.Power{Want: wire.WantRunning, Order: 3}},
		{instance.Restart, wire.Power{Want: wire.WantRunning, Order: 4, Restart: true}},
		{instance.Kill, wire.Power{Want: wire.WantStopped, Order: 5, Force: true}},
	} {
		j := b.power(i.ID, c.verb)
		if spec := b.handed(i.ID); spec.Power != c.want {
			t.Errorf("%s: %+v", c.verb, spec.Power)
		}
		b.carryOut(i.ID)
		b.ended(j, job.Succeeded)
	}
	if got := b.get(i.ID); got.Status() != "stopped" || got.Generation != 5 {
		t.Errorf("%+v", got)
	}
}

func TestSuspend(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	j := b.suspend(i.ID, "unpaid")
	if spec := b.handed(i.ID); !spec.Suspended || spec.Power.Order != 1 {
		t.Errorf("%+v", spec)
	}
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	if got := b.get(i.ID); got.Status() != instance.StatusSuspended || got.Actual != wire.ActualStopped || got.Power != wire.WantRunning {
		t.Errorf("%+v", got)
	}
	for _, v := range []instance.Verb{instance.Start, instance.Stop, instance.Restart, instance.Kill} {
		p := b.nothing(string(v), problem.Conflict, func() error {
			_, _, err := b.instances.Power(t.Context(), b.owner, i.ID, v)
			return err
		})
		if p.Message != "instance "+string(i.ID)+" is suspended (unpaid); unsuspend it first" {
			t.Errorf("%s: %q", v, p.Message)
		}
	}
	// A second time: nothing to do but to take the new reason.
	before := b.rows()
	if j := b.suspend(i.ID, "abuse"); j.ID != "" {
		t.Errorf("a second suspension is a job: %+v", j)
	}
	if got := b.get(i.ID); got.SuspendReason != "abuse" || got.Generation != 2 {
		t.Errorf("%+v", got)
	}
	if j := b.suspend(i.ID, ""); j.ID != "" || b.get(i.ID).SuspendReason != "abuse" || b.rows()["jobs"] != before["jobs"] {
		t.Error("a suspension without a reason takes the reason away, or is work")
	}
	// It ran: it is started.
	j = b.unsuspend(i.ID)
	if spec := b.handed(i.ID); spec.Suspended || spec.Power != (wire.Power{Want: wire.WantRunning, Order: 2}) {
		t.Errorf("%+v", spec)
	}
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	if got := b.get(i.ID); got.Status() != "running" || got.SuspendReason != "" {
		t.Errorf("%+v", got)
	}
	if j := b.unsuspend(i.ID); j.ID != "" {
		t.Errorf("a second unsuspension is a job: %+v", j)
	}
	b.suspend(i.ID, strings.Repeat("ü", 1000))
	b.nothing("a reason of 1001 letters", problem.Validation, func() error {
		_, _, err := b.instances.Suspend(t.Context(), b.admin, i.ID, strings.Repeat("x", 1001))
		return err
	})
}

func TestSuspensionOfAStoppedOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready(func(n *instance.New) { n.Stopped = true })
	b.suspend(i.ID, "")
	b.carryOut(i.ID)
	b.unsuspend(i.ID)
	if spec := b.handed(i.ID); spec.Power != (wire.Power{Want: wire.WantStopped, Order: 1}) {
		t.Errorf("an order was given: %+v", spec.Power)
	}
}

// Suspending doesn't wait for what goes on: it supersedes it.
func TestSuspendSupersedes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i, deploy := b.begin()
	b.handed(i.ID)
	s := b.suspend(i.ID, "")
	if got := b.ended(deploy, job.Cancelled); got.Failure == nil || got.Failure.Message != "the instance was suspended" {
		t.Errorf("%+v", got)
	}
	u := b.unsuspend(i.ID)
	b.ended(s, job.Cancelled)
	b.carryOut(i.ID)
	b.ended(u, job.Succeeded)
	if got := b.get(i.ID); got.Status() != "running" {
		t.Errorf("%+v", got)
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i, deploy := b.begin()
	b.handed(i.ID)
	for name, f := range map[string]func() error{
		"start": func() error { _, _, err := b.instances.Power(t.Context(), b.owner, i.ID, instance.Start); return err },
		"change": func() error {
			_, _, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{MemoryMiB: pointer(int64(64))})
			return err
		},
	} {
		b.until("the deploy is with the node", func() bool { return b.job(deploy.ID).Handed })
		if p := b.nothing(name, problem.ResourceBusy, f); !strings.Contains(p.Message, string(deploy.ID)) || !strings.Contains(p.Message, "instance.deploy") {
			t.Errorf("%s: %q names no job", name, p.Message)
		}
	}
	if got := b.get(i.ID); got.MemoryMiB != 128 || got.Generation != 1 {
		t.Errorf("refused and done: %+v", got)
	}
	k := b.power(i.ID, instance.Kill)
	b.ended(deploy, job.Cancelled)
	b.carryOut(i.ID)
	b.ended(k, job.Succeeded)
}

func TestDelete(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i, deploy := b.begin(ports(30000))
	b.handed(i.ID)
	_, first, err := b.instances.Delete(t.Context(), b.admin, i.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.ended(deploy, job.Cancelled)
	b.until("the node is told", func() bool { return b.agents.removals(i.ID) == 1 && b.job(first.ID).Handed })
	if got := b.get(i.ID); got.Status() != instance.StatusDeleting {
		t.Errorf("%+v", got)
	}
	before := b.rows()
	if _, second, err := b.instances.Delete(t.Context(), b.admin, i.ID); err != nil || second.ID != first.ID {
		t.Errorf("the second delete: %+v, %v", second, err)
	}
	if after := b.rows(); after["jobs"] != before["jobs"] || after["events"] != before["events"] {
		t.Errorf("the second delete did something: %v, before %v", after, before)
	}
	b.nothing("power while it is being deleted", problem.NotFound, func() error {
		_, _, err := b.instances.Power(t.Context(), b.admin, i.ID, instance.Start)
		return err
	})
	if _, err := b.jobs.Cancel(t.Context(), b.admin, first.ID); !problem.Is(err, problem.Conflict) {
		t.Errorf("a delete was cancelled: %v", err)
	}
	// What the dying container still says changes nothing.
	b.say(b.node, wire.Event{Type: wire.EventState, Instance: i.ID, Generation: 99, State: &wire.State{Phase: wire.PhaseReady, Actual: wire.ActualRunning, Converged: true}})
	if got := b.get(i.ID); got.Status() != instance.StatusDeleting || b.job(first.ID).State.Ended() {
		t.Errorf("%+v", got)
	}
	b.say(b.node, wire.Event{Type: wire.EventRemoved, Instance: i.ID})
	b.ended(first, job.Succeeded)
	if _, err := b.instances.Get(t.Context(), b.admin, i.ID); !problem.Is(err, problem.NotFound) {
		t.Errorf("it is still there: %v", err)
	}
	b.nothing("a third delete", problem.NotFound, func() error {
		_, _, err := b.instances.Delete(t.Context(), b.admin, i.ID)
		return err
	})
	if rows := b.rows(); rows["instances"] != 0 || rows["allocations"] != 0 {
		t.Errorf("left: %v", rows)
	}
	b.say(b.node, wire.Event{Type: wire.EventRemoved, Instance: i.ID}) // again, of an unknown one
	if facts := b.facts(i.ID); !slices.Equal(facts, []string{"instance.created", "instance.delete_ordered", "instance.running", "instance.deleted"}) {
		t.Errorf("%v", facts)
	}
}

// A port of the pool goes back to the pool; one made for the instance goes.
func TestDeleteKeepsThePool(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := b.ports.Add(t.Context(), b.admin, b.node, "", []string{"30000"}); err != nil {
		t.Fatal(err)
	}
	b.remove(b.ready(ports(30000, 30001)).ID)
	left, n, err := b.ports.List(t.Context(), allocation.Filter{Node: b.node, Limit: 10})
	if err != nil || n != 1 || left[0].Port != 30000 || left[0].Instance != "" {
		t.Errorf("%+v, %v", left, err)
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.agents.answer(offline())
	i, j := b.begin(ports(30000))
	b.waiting(j)
	if err := b.instances.Forget(t.Context(), b.owner, "ffffffff"); !problem.Is(err, problem.NotFound) {
		t.Errorf("%v", err)
	}
	if err := b.instances.Forget(t.Context(), b.admin, i.ID); err != nil {
		t.Fatal(err)
	}
	b.ended(j, job.Cancelled)
	if rows := b.rows(); rows["instances"] != 0 || rows["allocations"] != 0 || b.agents.removals(i.ID) != 0 {
		t.Errorf("left: %v", rows)
	}
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running, stopped := b.ready(), b.ready(func(n *instance.New) { n.Stopped, n.Name = true, "50%_off" })
	suspended, deleting := b.ready(), b.ready()
	b.suspend(suspended.ID, "")
	b.carryOut(suspended.ID)
	b.suspend(deleting.ID, "")
	b.carryOut(deleting.ID)
	if _, _, err := b.instances.Delete(t.Context(), b.admin, deleting.ID); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		f    instance.Filter
		want []ident.Instance
	}{
		"running":   {instance.Filter{Status: "running"}, []ident.Instance{running.ID}},
		"stopped":   {instance.Filter{Status: "stopped"}, []ident.Instance{stopped.ID}},
		"suspended": {instance.Filter{Status: instance.StatusSuspended, Deleting: true}, []ident.Instance{suspended.ID}},
		"deleting":  {instance.Filter{Status: instance.StatusDeleting, Deleting: true}, []ident.Instance{deleting.ID}},
		"by id":     {instance.Filter{Search: string(running.ID)}, []ident.Instance{running.ID}},
		"of some":   {instance.Filter{IDs: "nobody," + string(stopped.ID) + "," + string(running.ID)}, []ident.Instance{running.ID, stopped.ID}},
		"of none":   {instance.Filter{IDs: "' OR 1=1 --,"}, nil},
		"a percent": {instance.Filter{Search: "%_"}, []ident.Instance{stopped.ID}},
		"quotes":    {instance.Filter{Search: "' OR 1=1 --"}, nil},
		"a page":    {instance.Filter{Limit: 1, Offset: 1}, []ident.Instance{stopped.ID}},
		"by node":   {instance.Filter{Node: "other"}, nil},
	} {
		items, total, err := b.instances.List(t.Context(), b.admin, c.f)
		var got []ident.Instance
		for _, l := range items {
			got = append(got, l.ID)
		}
		if err != nil || !slices.Equal(got, c.want) || c.f.Limit == 0 && total != len(got) || c.f.Limit > 0 && total != 3 {
			t.Errorf("%s: %v of %d, %v; want %v", name, got, total, err, c.want)
		}
	}
}

func TestAllOfAUser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	one, two := b.ready(), b.ready()
	heir := b.user("heir")
	b.write(func(tx *store.Tx) error {
		return b.instances.TransferAll(t.Context(), tx, b.owner.User, heir.User, b.admin.Actor)
	})
	for _, id := range []ident.Instance{one.ID, two.ID} {
		if got := b.get(id); got.Owner != heir.User || got.Generation != 1 {
			t.Errorf("%+v", got)
		}
	}
	b.nothing("to nobody", problem.Validation, func() error {
		return b.db.Write(t.Context(), func(tx *store.Tx) error {
			return b.instances.TransferAll(t.Context(), tx, heir.User, "nobody", b.admin.Actor)
		})
	})
	b.write(func(tx *store.Tx) error {
		return b.instances.DeleteAll(t.Context(), tx, heir.User, b.owner.User, b.admin.Actor)
	})
	for _, id := range []ident.Instance{one.ID, two.ID} {
		if got := b.get(id); got.Status() != instance.StatusDeleting || got.Owner != b.owner.User {
			t.Errorf("%+v", got)
		}
		b.until("the node is told", func() bool { return b.agents.removals(id) == 1 })
		b.say(b.node, wire.Event{Type: wire.EventRemoved, Instance: id})
	}
	if n := b.rows()["instances"]; n != 0 {
		t.Errorf("%d are left", n)
	}
}
