package instance_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// state lets the instance's node say how it is, about the newest generation.
func (b *bundle) state(id ident.Instance, change func(s *wire.State)) instance.Instance {
	b.t.Helper()
	spec := b.get(id).Spec
	s := fleettest.Done(spec)
	change(&s)
	b.say(b.node, fleettest.StateEvent(spec, s))
	return b.get(id)
}

func (b *bundle) reinstall(id ident.Instance, wipe bool) job.Job {
	b.t.Helper()
	_, j, err := b.instances.Reinstall(b.t.Context(), b.admin, id, wipe)
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

// TestCrashPolicy: an instance's own wins over its image's, field by field, and
// changes nothing of the container.
func TestCrashPolicy(t *testing.T) {
	t.Parallel()
	b := setup(t)
	must(b.images.Change(t.Context(), b.admin, b.image, func(i *image.Image) error {
		i.ReadyLine, i.ReadyLines, i.StartTimeoutSeconds = "up", []string{"regex:^done$"}, 60
		i.Definition.Crash = &image.CrashPolicy{Limit: 9, CleanCodes: []int{143}}
		return nil
	}))(t)
	i := b.ready()
	if want := (wire.Ready{Lines: []string{"up", "regex:^done$"}, WithinSeconds: 60}); !reflect.DeepEqual(i.Spec.Ready, want) {
		t.Errorf("ready: %+v", i.Spec.Ready)
	}
	if want := (wire.Crash{Limit: 9, CleanCodes: []int{143}}); !reflect.DeepEqual(i.Spec.Crash, want) {
		t.Errorf("crash: %+v", i.Spec.Crash)
	}
	before := i.Spec
	_, j, err := b.instances.Change(t.Context(), b.owner, i.ID, instance.Patch{Crash: &image.CrashPolicy{Restart: wire.RestartAlways, Limit: -1}})
	if err != nil {
		t.Fatal(err)
	}
	before.Generation, before.Crash = before.Generation+1, wire.Crash{Restart: wire.RestartAlways, Limit: -1, CleanCodes: []int{143}}
	if got := b.handed(i.ID); !follows(got, before) {
		t.Errorf("the node is told\n%+v\nwant\n%+v", got, before)
	}
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	if d := b.get(i.ID).Detail(); d.CrashPolicy.Restart != wire.RestartAlways || d.CrashPolicy.Limit != -1 || d.CrashPolicy.CleanCodes != nil {
		t.Errorf("%+v", d.CrashPolicy)
	}
	// It outlives another change, and goes with the empty one.
	if _, _, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{MemoryMiB: pointer(int64(100))}); err != nil {
		t.Fatal(err)
	}
	if spec := b.handed(i.ID); spec.Crash.Limit != -1 || !spec.Installed {
		t.Errorf("%+v", spec)
	}
	b.carryOut(i.ID)
	b.until("the job has ended", func() bool {
		_, _, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{Crash: &image.CrashPolicy{}})
		return err == nil
	})
	if spec := b.handed(i.ID); !reflect.DeepEqual(spec.Crash, wire.Crash{Limit: 9, CleanCodes: []int{143}}) {
		t.Errorf("%+v", spec.Crash)
	}
	for name, bad := range map[string]image.CrashPolicy{
		"restart": {Restart: "sometimes"}, "codes": {CleanCodes: []int{256}}, "limit": {Limit: -2}, "window": {WindowSeconds: -1}, "quiet": {QuietSeconds: 86401},
	} {
		b.nothing(name, problem.Validation, func() error {
			_, _, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{Crash: &bad})
			return err
		})
	}
}

func TestReinstall(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	if !i.Spec.Installed {
		t.Fatal("it is not known to be installed")
	}
	j := b.reinstall(i.ID, true)
	spec := b.handed(i.ID)
	if spec.Wipe != spec.Generation || spec.Reinstall != 0 || spec.Installed || spec.Power.Want != wire.WantRunning {
		t.Errorf("%+v", spec)
	}
	b.nothing("a second one", problem.ResourceBusy, func() error {
		_, _, err := b.instances.Reinstall(t.Context(), b.admin, i.ID, false)
		return err
	})
	if got := b.state(i.ID, func(s *wire.State) { s.Phase, s.Actual, s.Converged = wire.PhaseInstalling, wire.ActualStopped, false }); got.Status() != instance.StatusInstalling {
		t.Errorf("%s", got.Status())
	}
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	if got := b.get(i.ID); !got.Spec.Installed || got.Status() != "running" || got.Spec.Wipe != 2 {
		t.Errorf("%+v", got)
	}
	// One that is stopped stays so; over its data its volume must be there.
	j = b.power(i.ID, instance.Stop)
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	j = b.reinstall(i.ID, false)
	if spec := b.handed(i.ID); spec.Wipe != 2 || spec.Reinstall != spec.Generation || !spec.Installed || spec.Power.Want != wire.WantStopped {
		t.Errorf("%+v", spec)
	}
	b.state(i.ID, func(s *wire.State) {
		s.Phase, s.Actual, s.Failure = wire.PhaseFailed, wire.ActualStopped, problem.New(problem.NotFound, "no such file")
	})
	b.ended(j, job.Failed)
	if got := b.get(i.ID); got.Phase != instance.Failed {
		t.Errorf("%s", got.Phase)
	}
	again, err := b.jobs.Retry(t.Context(), b.admin, j.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.carryOut(i.ID)
	b.ended(again, job.Succeeded)
	if got := b.get(i.ID); got.Status() != "stopped" || got.Spec.Reinstall != 4 {
		t.Errorf("%s %+v", got.Status(), got.Spec)
	}
	if facts := b.facts(i.ID); !slices.Contains(facts, "instance.reinstall_ordered") {
		t.Errorf("%v", facts)
	}
}

func TestReinstallRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	stranger := b.user("stranger")
	b.nothing("somebody else's", problem.NotFound, func() error {
		_, _, err := b.instances.Reinstall(t.Context(), stranger, i.ID, true)
		return err
	})
	reader := b.owner
	reader.Scopes = nil
	b.nothing("without the right", problem.Forbidden, func() error {
		_, _, err := b.instances.Reinstall(t.Context(), reader, i.ID, true)
		return err
	})
	j := b.suspend(i.ID, "unpaid")
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	b.nothing("suspended", problem.Conflict, func() error {
		_, _, err := b.instances.Reinstall(t.Context(), b.owner, i.ID, true)
		return err
	})
}

// TestWhatANodeSaysOfARun is shown and told once.
func TestWhatANodeSaysOfARun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for range 2 {
		b.state(i.ID, func(s *wire.State) {
			s.Actual, s.Overdue, s.StartedAt, s.Health = wire.ActualStarting, true, &at, wire.HealthBad
		})
	}
	if d := b.get(i.ID).Detail(); !d.Overdue || d.ReadyAt != nil || d.Status != "starting" || d.Health != wire.HealthBad || d.Power != wire.WantRunning {
		t.Errorf("%+v", d)
	}
	b.state(i.ID, func(s *wire.State) { s.ReadyAt = &at })
	if d := b.get(i.ID).Detail(); d.Overdue || d.ReadyAt == nil || d.Status != "running" {
		t.Errorf("%+v", d)
	}
	code := 1
	for range 2 {
		b.state(i.ID, func(s *wire.State) {
			s.Actual, s.ExitCode, s.Crashes, s.GaveUp, s.OOM, s.Unheld = wire.ActualCrashed, &code, 5, true, true, []string{"no disk limit"}
		})
	}
	d := b.get(i.ID).Detail()
	if !d.GaveUp || d.Crashes != 5 || !d.OOM || d.Power != wire.WantRunning || !slices.Equal(d.Unheld, []string{"no disk limit"}) {
		t.Errorf("%+v", d)
	}
	facts := strings.Join(b.facts(i.ID), " ")
	if strings.Count(facts, "instance.overdue") != 1 || strings.Count(facts, "instance.gave_up") != 1 {
		t.Error(facts)
	}
	if !strings.HasSuffix(facts, "instance.crashed instance.gave_up") {
		t.Errorf("it is given up before it has crashed: %s", facts)
	}
}

// TestAnEndInOrder: by a code that its policy calls clean it is wanted to stay
// down, but not while its policy starts it again.
func TestAnEndInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i := b.ready()
	_, j, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{Crash: &image.CrashPolicy{CleanCodes: []int{7}}})
	if err != nil {
		t.Fatal(err)
	}
	b.carryOut(i.ID)
	b.ended(j, job.Succeeded)
	soon, seven := time.Now(), 7
	if got := b.state(i.ID, func(s *wire.State) { s.Actual, s.ExitCode, s.RetryAt = wire.ActualStopped, &seven, &soon }); got.Power != wire.WantRunning {
		t.Errorf("it is started again, but %s is wanted", got.Power)
	}
	if got := b.state(i.ID, func(s *wire.State) { s.Actual, s.ExitCode = wire.ActualStopped, &seven }); got.Power != wire.WantStopped {
		t.Errorf("%s is wanted", got.Power)
	}
}

// TestPortsOfStrays: what a stray uses is nobody else's until it is gone, or
// adopted.
func TestPortsOfStrays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	stray := lostHolding(lostSpec())
	stray.Ports = append(lostSpec().Ports, wire.Port{IP: "nonsense", Host: 1}, wire.Port{IP: "0.0.0.0"})
	must(b.ports.Add(t.Context(), b.admin, b.node, "", []string{"31000-31001"}))(t)
	b.agents.hold(lostSpec())
	b.reconcile(stray)
	named := func(n *instance.New) { n.Ports = []allocation.Mapping{{Host: 31000, Container: 80, Primary: true}} }
	said := b.nothing("a stray's port", problem.Conflict, func() error {
		_, _, err := b.instances.Create(t.Context(), b.admin, b.order(named))
		return err
	})
	if !strings.Contains(said.Message, "in use by a stray instance "+string(lost)) || len(said.Fields) != 1 || said.Fields[0].Field != "ports" {
		t.Errorf("%+v", said)
	}
	// Placement avoids the node, and the pool gives another port.
	second := b.addNode("b")
	if i, _ := b.begin(named, func(n *instance.New) { n.Node = "" }); i.Node != second {
		t.Errorf("placed on %s", i.Node)
	}
	i, _ := b.begin(func(n *instance.New) { n.Ports = []allocation.Mapping{{Container: 80, Primary: true}} })
	if got := i.Spec.Ports[0].Host; got != 31001 {
		t.Errorf("port %d is given", got)
	}
	b.carryOut(i.ID)
	adopted, _, err := b.instances.Adopt(t.Context(), b.admin, b.node, lost, instance.Adoption{Owner: b.owner.User})
	if err != nil || adopted.Spec.Ports[0].Host != 31000 {
		t.Fatalf("%+v %v", adopted.Spec.Ports, err)
	}
	// Another one goes, and its port with it.
	gone := wire.Holding{Instance: "0badbeef", Generation: 1, State: stray.State, Ports: []wire.Port{{IP: "127.0.0.1", Host: 32000, Container: 1}}}
	b.reconcile(holding(b.get(i.ID)), holding(b.get(lost)), gone)
	other := func(n *instance.New) { n.Ports = []allocation.Mapping{{Host: 32000, Container: 80, Primary: true}} }
	b.nothing("another stray's port", problem.Conflict, func() error {
		_, _, err := b.instances.Create(t.Context(), b.admin, b.order(other))
		return err
	})
	b.reconcile(holding(b.get(i.ID)), holding(b.get(lost)))
	b.begin(other)
}

// TestAnOrderThatWaitsForTheEngineSaysSo, by its node's name.
func TestAnOrderThatWaitsForTheEngineSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	i, j := b.begin()
	b.handed(i.ID)
	b.say(b.node, wire.Event{Type: wire.EventProgress, Instance: i.ID, Generation: 1, Progress: &wire.Progress{Step: wire.StepWait, Percent: -1, Message: "x"}})
	if got := b.job(j.ID); got.Step != wire.StepWait || got.Message != "waiting for the container engine of node a" {
		t.Errorf("%+v", got)
	}
}
