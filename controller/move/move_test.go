package move_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/move"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestARunningInstanceMovesWithItsVolume(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		i := b.deploy()
		j := b.ended(b.begin(i.ID, b.nodes[1]), job.Succeeded)
		b.calm()
		b.whole(i.ID)
		got := b.get(i.ID)
		_, volume := b.world.look(b.nodes[1], i.ID)
		if got.Node != b.nodes[1] || got.Status() != "running" || volume != "made ran ran" || b.world.copies[i.ID] != 2 {
			t.Errorf("%s on %s, volume %q, %d passes", got.Status(), got.Node, volume, b.world.copies[i.ID])
		}
		if got.Spec.Copied || got.Spec.Power.Want != wire.WantRunning || got.Spec.Ports[0].Host != i.Spec.Ports[0].Host {
			t.Errorf("%+v", got.Spec)
		}
		var names []string
		for _, task := range j.Tasks {
			names = append(names, task.Name+" "+string(task.State))
		}
		if want := "reserve done, copy done, stop done, finish done, verify done, switch done, settle done, start done"; strings.Join(names, ", ") != want {
			t.Errorf("tasks %s", names)
		}
		if facts := b.facts(i.ID); !slices.Equal(facts, []string{"instance.move_ordered", "instance.moved", "instance.move_settled"}) {
			t.Errorf("events %v", facts)
		}
		b.ended(b.begin(i.ID, b.nodes[0]), job.Succeeded) // and back
		b.calm()
		b.whole(i.ID)
	})
}

func TestWhatDoesNotRunMovesToo(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		stopped, suspended, ended := b.deploy(), b.deploy(), b.deploy()
		_, j, err := b.instances.Power(t.Context(), b.admin, stopped.ID, instance.Stop)
		if err != nil {
			t.Fatal(err)
		}
		b.ended(j, job.Succeeded)
		if _, j, err = b.instances.Suspend(t.Context(), b.admin, suspended.ID, "late"); err != nil {
			t.Fatal(err)
		}
		b.ended(j, job.Succeeded)
		zero := 0 // by itself: the spec says running, what its owner wants is stopped
		b.world.with(b.nodes[0], func(m *machine) {
			box := m.boxes[ended.ID]
			box.state.Actual, box.state.ExitCode = wire.ActualStopped, &zero
			st := box.state
			m.events = append(m.events, wire.Event{Type: wire.EventState, Instance: ended.ID, Generation: box.generation, State: &st})
		})
		b.until("its end is known", func() bool { return b.get(ended.ID).Power == wire.WantStopped })
		for _, i := range []instance.Instance{stopped, suspended, ended} {
			b.ended(b.begin(i.ID, b.nodes[1]), job.Succeeded)
		}
		b.calm()
		b.whole(stopped.ID, suspended.ID, ended.ID)
		if got := b.get(suspended.ID); got.Node != b.nodes[1] || !got.Suspended || got.SuspendReason != "late" {
			t.Errorf("%+v", got)
		}
		if _, j, err = b.instances.Unsuspend(t.Context(), b.admin, suspended.ID); err != nil {
			t.Fatal(err)
		}
		b.ended(j, job.Succeeded)
		if got := b.get(suspended.ID); got.Status() != "running" {
			t.Errorf("after the suspension it is %s", got.Status())
		}
	})
}

// refused checks that a move is refused and leaves nothing behind.
func (b *bundle) refused(id ident.Instance, o move.Order, code problem.Code, words string) {
	b.t.Helper()
	rows := func() (n [3]int) {
		for k, table := range []string{"moves", "jobs", "allocations"} {
			n[k] = b.count(`SELECT COUNT(*) FROM ` + table)
		}
		return n
	}
	before := rows()
	_, _, err := b.moves.Move(b.t.Context(), b.admin, id, o)
	if !problem.Is(err, code) || !strings.Contains(err.Error(), words) {
		b.t.Errorf("%+v: %v, want %s with %q", o, err, code, words)
	}
	if after := rows(); after != before {
		b.t.Errorf("%+v left something behind: %v, before %v", o, after, before)
	}
	b.balanced()
}

func TestMovesThatAreRefused(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		a, c := b.nodes[0], b.nodes[1]
		i := b.deploy()
		b.refused(i.ID, move.Order{Node: a}, problem.Validation, "on this node already")
		b.refused(i.ID, move.Order{Node: "nowhere"}, problem.Validation, "no such node")
		b.refused("00000000", move.Order{Node: c}, problem.NotFound, "no such instance")
		b.deploy(func(n *instance.New) { n.Node, n.MemoryMiB = c, 1000 })
		b.refused(i.ID, move.Order{Node: c}, problem.InsufficientResources, "memory")
		b.write(func(tx *store.Tx) error {
			return b.machines.SetMaintenance(t.Context(), tx, b.admin.Actor, b.nodes[2], true)
		})
		b.refused(i.ID, move.Order{Node: b.nodes[2]}, problem.Conflict, "maintenance")
		b.refused(i.ID, move.Order{}, problem.InsufficientResources, "")

		b.away(a, true)
		installing, _, err := b.instances.Create(t.Context(), b.admin, instance.New{Name: "x", Owner: b.owner, Node: a, Image: b.image, MemoryMiB: 64, NanoCPUs: 1e8})
		if err != nil {
			t.Fatal(err)
		}
		b.refused(installing.ID, move.Order{Node: c}, problem.Conflict, "is being installed")
		b.world.with(a, func(m *machine) { m.sick = "no room for it" })
		b.away(a, false)
		b.until("it has failed", func() bool { return b.get(installing.ID).Phase == instance.Failed })
		b.refused(installing.ID, move.Order{Node: c}, problem.Conflict, "was never ready")

		b.world.with(a, func(m *machine) { m.silent = true }) // so that the job lasts
		_, j, err := b.instances.Power(t.Context(), b.admin, i.ID, instance.Stop)
		if err != nil {
			t.Fatal(err)
		}
		b.refused(i.ID, move.Order{Node: c}, problem.ResourceBusy, string(j.ID))
	})
}

func TestPortsThatAreTakenThere(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		to := b.nodes[1]
		port := func(host uint16, node ident.Node) func(*instance.New) {
			return func(n *instance.New) {
				n.Node, n.Ports = node, []allocation.Mapping{{Host: host, Container: 1, Primary: true}, {Host: host + 1, Container: 2}}
			}
		}
		b.deploy(port(5000, to))
		i := b.deploy(port(5000, b.nodes[0]))
		b.refused(i.ID, move.Order{Node: to}, problem.Conflict, "port 5000, 5001; give others in ports, or reassign_ports: true")
		taken := []allocation.Mapping{{Host: 5001, Container: 1, Primary: true}}
		b.refused(i.ID, move.Order{Node: to, Ports: &taken}, problem.Conflict, "port 5001")
		if _, err := b.ports.Add(t.Context(), b.admin, to, "", []string{"7000"}); err != nil {
			t.Fatal(err)
		}
		_, j, err := b.moves.Move(t.Context(), b.admin, i.ID, move.Order{Node: to, Reassign: true})
		if err != nil {
			t.Fatal(err)
		}
		b.ended(j, job.Succeeded)
		b.calm()
		b.whole(i.ID)
		if p := b.get(i.ID).Spec.Ports; p[0].Host != 7000 || p[1].Host != 5002 || p[0].Container != 1 || !p[0].Primary {
			t.Errorf("the pool's and the next free one were not given: %+v", p)
		}
		other := []allocation.Mapping{{Host: 6000, Container: 9, Primary: true}}
		if _, j, err = b.moves.Move(t.Context(), b.admin, i.ID, move.Order{Node: b.nodes[2], Ports: &other}); err != nil {
			t.Fatal(err)
		}
		b.ended(j, job.Succeeded)
		b.calm()
		b.whole(i.ID)
		got := b.get(i.ID)
		if p := got.Spec.Ports; len(p) != 1 || p[0].Host != 6000 || !slices.Contains(got.Spec.Env, "PRIMARY_PORT=9") {
			t.Errorf("%+v %v", p, got.Spec.Env)
		}
	})
}

func TestPlacementChoosesAndPassesOverTakenPorts(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		port := func(node ident.Node) func(*instance.New) {
			return func(n *instance.New) {
				n.Node, n.Ports = node, []allocation.Mapping{{Host: 5000, Container: 1, Primary: true}}
			}
		}
		b.deploy(port(b.nodes[2]))
		i := b.deploy(port(b.nodes[0]))
		b.ended(b.begin(i.ID, ""), job.Succeeded)
		b.calm()
		b.whole(i.ID)
		if got := b.get(i.ID).Node; got != b.nodes[1] {
			t.Errorf("it went to %s of %v", got, b.nodes)
		}
	})
}

func TestAnotherVerbIsToldOfTheMove(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		i := b.deploy()
		g := b.world.stopAt("copy", "")
		j := b.begin(i.ID, b.nodes[1])
		<-g.reached
		_, _, err := b.instances.Power(t.Context(), b.admin, i.ID, instance.Restart)
		if !problem.Is(err, problem.ResourceBusy) || !strings.Contains(err.Error(), string(j.ID)) {
			t.Errorf("%v", err)
		}
		b.refused(i.ID, move.Order{Node: b.nodes[2]}, problem.ResourceBusy, string(j.ID))
		if err := b.machines.Delete(t.Context(), b.admin, b.nodes[1]); !problem.Is(err, problem.Conflict) {
			t.Errorf("the node that it goes to was deleted: %v", err)
		}
		close(g.open)
		b.ended(j, job.Succeeded)
		b.calm()
		b.whole(i.ID)
	})
}

func TestACopyThatDiffersIsMadeAgainOrGivenUp(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		to := b.nodes[1]
		i := b.deploy()
		b.world.with(to, func(m *machine) { m.corrupt = 2 })
		b.ended(b.begin(i.ID, to), job.Succeeded)
		b.calm()
		b.whole(i.ID)
		if n := b.world.copies[i.ID]; n != 4 {
			t.Errorf("%d passes, want 4", n)
		}
		b.world.with(b.nodes[2], func(m *machine) { m.corrupt = 100 })
		j := b.ended(b.begin(i.ID, b.nodes[2]), job.Failed)
		if !strings.Contains(j.Failure.Message, "differs") || j.Task != "verify" {
			t.Errorf("%s: %v", j.Task, j.Failure)
		}
		b.calm()
		b.whole(i.ID)
		if got := b.get(i.ID); got.Node != to || got.Status() != "running" {
			t.Errorf("%s on %s", got.Status(), got.Node)
		}
	})
}

func TestATargetWithoutTheImage(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		to := b.nodes[1]
		i := b.deploy()
		b.world.with(to, func(m *machine) { m.image = wire.ImageFailed })
		j := b.ended(b.begin(i.ID, to), job.Failed)
		if !strings.Contains(j.Failure.Message, "the registry is shut") {
			t.Error(j.Failure)
		}
		b.calm()
		b.whole(i.ID)

		b.world.with(to, func(m *machine) { m.image = wire.ImagePulling })
		again, err := b.jobs.Retry(t.Context(), b.admin, j.ID)
		if err != nil {
			t.Fatal(err)
		}
		b.until("it waits for the image", func() bool { return strings.Contains(b.job(again.ID).Message, "image") })
		b.world.with(to, func(m *machine) { m.image = wire.ImageReady })
		b.ended(again, job.Succeeded)
		b.calm()
		b.whole(i.ID)
		if got := b.get(i.ID); got.Node != to {
			t.Errorf("it is on %s", got.Node)
		}
	})
}

func TestATargetThatCantTakeItGivesItBack(t *testing.T) {
	t.Parallel()
	for _, sick := range []string{"the port is another program's", "the volume is gone"} {
		t.Run(sick, func(t *testing.T) {
			t.Parallel()
			scene(t, func(t *testing.T, b *bundle) {
				i := b.deploy()
				if sick == "the volume is gone" {
					g := b.world.stopAt("apply", b.nodes[1])
					j := b.begin(i.ID, b.nodes[1])
					<-g.reached
					b.world.with(b.nodes[1], func(m *machine) { clear(m.incoming) })
					close(g.open)
					b.ended(j, job.Failed)
				} else {
					b.world.with(b.nodes[1], func(m *machine) { m.sick = sick })
					if j := b.ended(b.begin(i.ID, b.nodes[1]), job.Failed); !strings.Contains(j.Failure.Message, sick) || !strings.Contains(j.Failure.Message, "back on node a") {
						t.Error(j.Failure)
					}
				}
				b.calm()
				b.whole(i.ID)
				got := b.get(i.ID)
				if got.Node != b.nodes[0] || got.Status() != "running" {
					t.Errorf("%s on %s", got.Status(), got.Node)
				}
				if facts := b.facts(i.ID); !slices.Equal(facts, []string{"instance.move_ordered", "instance.moved", "instance.move_undone"}) {
					t.Errorf("events %v", facts)
				}
			})
		})
	}
}

func TestChangesWaitForTheNewNodesWord(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		i := b.deploy()
		to := b.nodes[1]
		g := b.world.stopAt("apply", to)
		j := b.begin(i.ID, to)
		<-g.reached
		b.away(to, true)
		close(g.open)
		_, kill, err := b.instances.Power(t.Context(), b.admin, i.ID, instance.Kill)
		if err != nil {
			t.Fatal(err)
		}
		b.ended(j, job.Cancelled)
		time.Sleep(3 * time.Hour) // the kill gives up; nobody is at work, and the new node is still silent
		b.ended(kill, job.Failed)
		memory := int64(256)
		if _, _, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{MemoryMiB: &memory}); !problem.Is(err, problem.Conflict) {
			t.Errorf("it was changed: %v", err)
		}
		b.refused(i.ID, move.Order{Node: b.nodes[2]}, problem.Conflict, "has not said yet")
		b.balanced()
		b.away(to, false)
		b.calm()
		b.whole(i.ID)
		if got := b.get(i.ID); got.Node != to || got.Status() != "stopped" {
			t.Errorf("%s on %s", got.Status(), got.Node)
		}
		if _, _, err := b.instances.Change(t.Context(), b.admin, i.ID, instance.Patch{MemoryMiB: &memory}); err != nil {
			t.Error(err)
		}
		b.calm()
		b.whole(i.ID)
	})
}
