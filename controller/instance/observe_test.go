package instance_test

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// The exit code of an earlier run is no wish to stay down when the next start
// failed; and what its node has started again after all is wanted to run.
func TestAnEndIsNoWishWhenTheStartFailed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	code := 0
	down := wire.State{Phase: wire.PhaseReady, Actual: wire.ActualStopped, Converged: true, ExitCode: &code}
	failed := down
	failed.Failure = problem.New(problem.Internal, "the container engine could not start the container")
	say := func(st wire.State, want wire.Want) {
		t.Helper()
		b.say(b.node, wire.Event{Type: wire.EventState, Instance: i.ID, Generation: i.Generation, State: &st})
		if got := b.get(i.ID); got.Power != want || got.Spec.Power.Want != wire.WantRunning {
			t.Errorf("after %+v the power is %s (the node is told %s), want %s", st, got.Power, got.Spec.Power.Want, want)
		}
	}
	say(failed, wire.WantRunning)
	say(down, wire.WantStopped)
	say(wire.State{Phase: wire.PhaseReady, Actual: wire.ActualRunning, Converged: true}, wire.WantRunning)
}

// An event that comes twice has its effect once.
func TestEventTwice(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i, j := b.begin()
	spec := b.handed(i.ID)
	done := fleettest.StateEvent(spec, fleettest.Done(spec))
	b.say(b.node, done)
	b.ended(j, job.Succeeded)
	once, rows := b.get(i.ID), b.rows()
	b.say(b.node, done)
	twice := b.get(i.ID)
	twice.UpdatedAt = once.UpdatedAt
	if !reflect.DeepEqual(once, twice) || !maps.Equal(rows, b.rows()) {
		t.Errorf("the second time did something:\n%+v\n%+v\n%v\n%v", once, twice, rows, b.rows())
	}
}

// What is about an older generation tells what the container does, and no more.
func TestEventOfAnOlderGeneration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	j := b.power(i.ID, instance.Stop)
	b.until("the stop is with the node", func() bool { return b.job(j.ID).Handed })
	b.say(b.node, wire.Event{Type: wire.EventState, Instance: i.ID, Generation: 1, State: &wire.State{Phase: wire.PhaseFailed, Actual: wire.ActualCrashed, Converged: true,
		Failure: problem.New(problem.Conflict, "port 1 is in use")}})
	if got := b.get(i.ID); got.Phase != instance.Ready || got.Failure != nil || got.Actual != wire.ActualCrashed {
		t.Errorf("%+v", got)
	}
	if got := b.job(j.ID); got.State != job.Running {
		t.Errorf("the newer job is %s", got.State)
	}
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
}

// A node speaks for its own instances only.
func TestEventOfAnotherNode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i, j := b.begin(ports(30000))
	spec := b.handed(i.ID)
	b.until("the deploy is with the node", func() bool { return b.job(j.ID).Handed })
	before, rows := b.get(i.ID), b.rows()
	other := b.addNode("b")
	rows["events"]++ // node.created
	for _, e := range []wire.Event{
		fleettest.StateEvent(spec, fleettest.Done(spec)),
		{Type: wire.EventProgress, Instance: i.ID, Generation: 1, Progress: &wire.Progress{Step: "pull", Percent: 50, Message: "no"}},
		{Type: wire.EventOutput, Instance: i.ID, Generation: 1, Output: []string{"no"}},
		{Type: wire.EventRemoved, Instance: i.ID, Generation: 1},
	} {
		b.say(other, e)
	}
	if after := b.get(i.ID); !reflect.DeepEqual(before, after) || !maps.Equal(rows, b.rows()) {
		t.Errorf("%+v\n%+v\n%v\n%v", before, after, rows, b.rows())
	}
	b.say(b.node, wire.Event{Type: wire.EventRemoved, Instance: i.ID}) // of one that nobody deletes
	if _, err := b.instances.Get(t.Context(), b.admin, i.ID); err != nil {
		t.Errorf("a node deleted it: %v", err)
	}
}

func TestProgressAndFailure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i, j := b.begin()
	b.handed(i.ID)
	b.say(b.node, wire.Event{Type: wire.EventProgress, Instance: i.ID, Generation: 1, Progress: &wire.Progress{Step: "pull", Percent: 40, Message: "Downloading"}})
	if got := b.job(j.ID); got.Step != "pull" || got.Percent != 40 || got.Message != "Downloading" {
		t.Errorf("%+v", got)
	}
	b.say(b.node, wire.Event{Type: wire.EventProgress, Instance: i.ID, Generation: 1, Progress: &wire.Progress{Step: strings.Repeat("s", 999), Percent: -9999, Message: strings.Repeat("é", 99_999)}})
	if got := b.job(j.ID); len(got.Step) != 32 || got.Percent != -1 || got.Message != strings.Repeat("é", 500) {
		t.Errorf("an agent that can't keep it short: %d, %d, %d", len(got.Step), got.Percent, len(got.Message))
	}
	lines := slices.Repeat([]string{strings.Repeat("é", 9999)}, 99)
	b.say(b.node, wire.Event{Type: wire.EventOutput, Instance: i.ID, Generation: 1, Output: append([]string{"Unpacking"}, lines...)})
	logged, err := b.jobs.Lines(t.Context(), b.admin, j.ID, 0, 1000)
	if err != nil || len(logged) < wire.OutputLines || logged[len(logged)-wire.OutputLines].Text != "Unpacking" || logged[len(logged)-1].Text != strings.Repeat("é", wire.OutputText) {
		t.Errorf("%d lines in the log, %v", len(logged), err)
	}
	why := problem.New(problem.Conflict, "port 80 is in use on this node by another program")
	b.say(b.node, wire.Event{Type: wire.EventState, Instance: i.ID, Generation: 1, State: &wire.State{Phase: wire.PhaseFailed, Actual: wire.ActualStopped, Converged: true, Failure: why}})
	if got := b.ended(j, job.Failed); got.Failure.Message != why.Message {
		t.Errorf("%+v", got.Failure)
	}
	if got := b.get(i.ID); got.Status() != instance.StatusFailed || got.Failure.Message != why.Message {
		t.Errorf("%+v", got)
	}
	// A start is another try.
	s := b.power(i.ID, instance.Start)
	if got := b.get(i.ID); got.Status() != instance.StatusInstalling || got.Failure != nil {
		t.Errorf("%+v", got)
	}
	b.carryOut(i.ID)
	b.ended(s, job.Succeeded)
	if got := b.get(i.ID); got.Status() != "running" {
		t.Errorf("%+v", got)
	}
}

// Who ends by himself stays stopped over a suspension; who crashes doesn't.
func TestEndedByItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for code, want := range map[int]wire.Want{0: wire.WantStopped, 1: wire.WantRunning} {
		i := b.ready()
		actual := wire.ActualStopped
		if code != 0 {
			actual = wire.ActualCrashed
		}
		b.say(b.node, wire.Event{Type: wire.EventState, Instance: i.ID, Generation: 1, State: &wire.State{Phase: wire.PhaseReady, Actual: actual, Converged: true, ExitCode: &code}})
		if got := b.get(i.ID); got.Power != want || got.Status() != instance.Status(actual) {
			t.Errorf("code %d: %+v", code, got)
		}
		if facts := b.facts(i.ID); facts[len(facts)-1] != "instance."+string(actual) {
			t.Errorf("code %d: %v", code, facts)
		}
	}
}

// A handler's refusal for good is the instance's failure.
func TestNodeRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.agents.answer(problem.New(problem.Validation, "the node does not like it"))
	i, j := b.begin()
	b.ended(j, job.Failed)
	if got := b.get(i.ID); got.Status() != instance.StatusFailed || got.Failure.Message != "the node does not like it" {
		t.Errorf("%+v", got)
	}
	if facts := b.facts(i.ID); !slices.Equal(facts, []string{"instance.created", "instance.failed"}) {
		t.Errorf("%v", facts)
	}
	b.agents.answer(nil)
	again, err := b.jobs.Retry(t.Context(), b.admin, j.ID)
	if err != nil || again.RetryOf != j.ID || again.Kind != instance.KindDeploy {
		t.Fatalf("%+v, %v", again, err)
	}
	b.carryOut(i.ID)
	b.ended(again, job.Succeeded)
	if got := b.get(i.ID); got.Status() != "running" {
		t.Errorf("%+v", got)
	}
}

// The retry of a deployment that was not to be started starts nothing.
func TestRetryOfAStoppedOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.agents.answer(problem.New(problem.Validation, "no"))
	i, j := b.begin(func(n *instance.New) { n.Stopped = true })
	b.ended(j, job.Failed)
	b.agents.answer(nil)
	if _, err := b.jobs.Retry(t.Context(), b.admin, j.ID); err != nil {
		t.Fatal(err)
	}
	if spec := b.handed(i.ID); spec.Power.Want != wire.WantStopped {
		t.Errorf("%+v", spec.Power)
	}
	if got := b.get(i.ID); got.Status() != instance.StatusInstalling {
		t.Errorf("%+v", got)
	}
}

func TestCancelOfADeploy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i, j := b.begin()
	b.handed(i.ID)
	if _, err := b.jobs.Cancel(t.Context(), b.owner, j.ID); err != nil {
		t.Fatal(err)
	}
	spec := b.handed(i.ID)
	if !spec.Hold || spec.Power.Want != wire.WantStopped {
		t.Errorf("%+v", spec)
	}
	// The node lets go and says what it has: the instance stays cancelled.
	b.say(b.node, wire.Event{Type: wire.EventState, Instance: i.ID, Generation: 2, State: &wire.State{Phase: wire.PhaseInstalling, Actual: wire.ActualStopped, Converged: true}})
	got := b.get(i.ID)
	if got.Status() != instance.StatusFailed || got.Failure.Message != "the deployment was cancelled; start the instance to try again, or delete it" {
		t.Errorf("%+v", got)
	}
	if _, err := b.jobs.Cancel(t.Context(), b.owner, j.ID); !problem.Is(err, problem.Conflict) {
		t.Errorf("cancelled twice: %v", err)
	}
	again, err := b.jobs.Retry(t.Context(), b.owner, j.ID)
	if err != nil {
		t.Fatal(err)
	}
	if spec := b.handed(i.ID); spec.Hold || spec.Power.Want != wire.WantRunning {
		t.Errorf("%+v", spec)
	}
	b.carryOut(i.ID)
	b.ended(again, job.Succeeded)
	if got := b.get(i.ID); got.Status() != "running" {
		t.Errorf("%+v", got)
	}
}

// The wish of a start that waits for its node is taken back with it.
func TestCancelOfAWaitingStart(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready(func(n *instance.New) { n.Stopped = true })
	b.agents.answer(offline())
	j := b.power(i.ID, instance.Start)
	b.waiting(j)
	if _, err := b.jobs.Cancel(t.Context(), b.owner, j.ID); err != nil {
		t.Fatal(err)
	}
	if got := b.get(i.ID); got.Power != wire.WantStopped || got.Status() != "stopped" {
		t.Errorf("%+v", got)
	}
	b.agents.answer(nil)
	b.reconcile() // the node is back
	if spec := b.handed(i.ID); spec.Power.Want != wire.WantStopped {
		t.Errorf("%+v", spec.Power)
	}
}

func (b *bundle) reconcile(held ...wire.Holding) {
	b.t.Helper()
	if err := b.instances.Reconcile(context.Background(), b.node, wire.Inventory{Instances: held}); err != nil {
		b.t.Fatal(err)
	}
}

func holding(i instance.Instance) wire.Holding {
	return wire.Holding{Instance: i.ID, Generation: i.Generation, State: fleettest.Done(i.Spec)}
}

func TestReconcileOfWhatAgrees(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	rows := b.rows()
	b.reconcile(holding(i))
	if !maps.Equal(rows, b.rows()) {
		t.Errorf("%v, before %v", b.rows(), rows)
	}
	h := holding(i)
	h.State.Actual = wire.ActualCrashed // while nobody listened
	b.reconcile(h)
	if got := b.get(i.ID); got.Status() != "crashed" || b.rows()["jobs"] != rows["jobs"] {
		t.Errorf("%+v", got)
	}
}

// TestReconcileBesideEvents: what is still being told comes by its events alone.
func TestReconcileBesideEvents(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	h := holding(i)
	h.State.Actual, h.Telling = wire.ActualCrashed, true
	rows := b.rows()
	b.reconcile(h)
	if got := b.get(i.ID); got.Status() != "running" || !maps.Equal(rows, b.rows()) {
		t.Errorf("%+v, %v, before %v", got, b.rows(), rows)
	}
}

func TestReconcileWithALostJournal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	_, before := b.agents.told(i.ID)
	b.reconcile()
	b.until("the node is told again", func() bool { _, n := b.agents.told(i.ID); return n == before+1 })
	if spec, _ := b.agents.told(i.ID); !reflect.DeepEqual(spec, i.Spec) {
		t.Errorf("%+v", spec)
	}
	b.carryOut(i.ID)
	b.until("the job has ended", func() bool { return b.living() == 0 })
}

// living counts the jobs that have not ended.
func (b *bundle) living() (n int) {
	b.t.Helper()
	for _, s := range []job.State{job.Queued, job.Waiting, job.Running} {
		_, total, err := b.jobs.List(b.t.Context(), b.admin, job.Filter{State: s, Limit: 1})
		if err != nil {
			b.t.Fatal(err)
		}
		n += total
	}
	return n
}

// The database was put back from a copy: the node knows newer generations and
// orders, and still does what this database says.
func TestReconcileWithANewerNode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	h := holding(i)
	h.Generation, h.State.Actual = 7, wire.ActualStopped
	b.reconcile(h)
	spec := b.handed(i.ID)
	if spec.Generation != 8 || spec.Power.Want != wire.WantRunning || spec.Power.Order <= 7 || spec.Power.Restart {
		t.Errorf("%+v", spec)
	}
	b.carryOut(i.ID)
	b.until("the job has ended", func() bool { return b.living() == 0 })
}

// The same while an order waits for the node: that is what is carried out, under a
// number that the node hasn't seen, also where both have counted on to the same one.
func TestReconcileWithANewerNodeAndAnOrder(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]func(i instance.Instance, h *wire.Holding){
		"newer":       func(_ instance.Instance, h *wire.Holding) { h.Generation = 9 },
		"same number": func(i instance.Instance, h *wire.Holding) { h.Generation, h.Revision = i.Generation, "another" },
		"removed":     func(i instance.Instance, h *wire.Holding) { h.Generation, h.Removing = i.Generation, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			i := b.ready()
			b.agents.answer(offline())
			j := b.power(i.ID, instance.Restart)
			b.waiting(j)
			i = b.get(i.ID)
			h := holding(i)
			held(i, &h)
			b.agents.answer(nil)
			b.reconcile(h)
			spec := b.handed(i.ID)
			if spec.Generation <= h.Generation || spec.Revision == h.Revision || spec.Power.Order <= h.Generation || !spec.Power.Restart {
				t.Errorf("%+v, held %d", spec, h.Generation)
			}
			b.carryOut(i.ID)
			b.ended(j, job.Succeeded)
			now := b.get(i.ID)
			b.reconcile(wire.Holding{Instance: i.ID, Generation: now.Generation, Revision: spec.Revision, State: fleettest.Done(now.Spec)})
			if after := b.get(i.ID); after.Generation != now.Generation || b.living() != 0 {
				t.Errorf("what agrees is told again: %+v", after)
			}
		})
	}
}

// A delete that waits for such a node removes it all the same.
func TestReconcileOfADeletionWithANewerNode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	b.agents.answer(offline())
	_, j, err := b.instances.Delete(t.Context(), b.admin, i.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.waiting(j)
	h := holding(i)
	h.Generation = 9
	b.agents.answer(nil)
	b.reconcile(h)
	b.until("the node is told", func() bool { return b.agents.removals(i.ID) > 0 && b.job(j.ID).Handed })
	if got := b.agents.removal(i.ID); got.Generation <= 9 {
		t.Errorf("it is told %+v", got)
	}
	b.say(b.node, wire.Event{Type: wire.EventRemoved, Instance: i.ID})
	b.ended(j, job.Succeeded)
}

func TestReconcileWithAnUnknownInstance(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rows := b.rows()
	rows["events"]++ // that it was found, once
	for range 2 {
		b.reconcile(wire.Holding{Instance: "0badcafe", Generation: 3, State: wire.State{Phase: wire.PhaseReady, Actual: wire.ActualRunning}})
		if !maps.Equal(rows, b.rows()) || b.agents.removals("0badcafe") != 0 {
			t.Errorf("it was not left alone: %v, before %v", b.rows(), rows)
		}
	}
}

// A deletion that the node did not finish is told again.
func TestReconcileOfADeletion(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	_, j, err := b.instances.Delete(t.Context(), b.admin, i.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.until("the node is told", func() bool { return b.agents.removals(i.ID) == 1 && b.job(j.ID).Handed })
	b.reconcile(holding(i)) // it forgot what it was told
	b.until("the node is told again", func() bool { return b.agents.removals(i.ID) == 2 })
	b.say(b.node, wire.Event{Type: wire.EventRemoved, Instance: i.ID})
	b.ended(j, job.Succeeded)
	if _, err := b.instances.Get(t.Context(), b.admin, ident.Instance(i.ID)); !problem.Is(err, problem.NotFound) {
		t.Errorf("%v", err)
	}
}
