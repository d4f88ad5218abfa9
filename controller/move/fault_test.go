package move_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/move"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// A point is where a move is stopped.
type point struct {
	name   string
	op     string
	source bool   // the call goes to the old node
	silent string // instead: until this node, "a" or "b", speaks again
}

var points = []point{
	{name: "open", op: "open"},
	{name: "copy", op: "copy", source: true},
	{name: "stop", op: "apply", source: true},
	{name: "stopping", silent: "a"},
	{name: "finish", op: "finish", source: true},
	{name: "verify", op: "verify"},
	{name: "image", op: "incoming"},
	{name: "settle", op: "apply"},
	{name: "settling", silent: "b"},
}

// reach begins a move and brings it to the point; the function lets it go on.
func (b *bundle) reach(p point, id ident.Instance) (job.Job, func()) {
	b.t.Helper()
	node := b.nodes[1]
	if p.source || p.silent == "a" {
		node = b.nodes[0]
	}
	if p.silent != "" {
		b.world.with(node, func(m *machine) { m.silent = true })
		j := b.begin(id, b.nodes[1])
		task := map[string]string{"a": "stop", "b": "settle"}[p.silent]
		b.until("the move is at "+task, func() bool {
			b.world.mu.Lock()
			defer b.world.mu.Unlock()
			return len(b.world.machines[node].events) > 0 && b.job(j.ID).Task == task
		})
		return j, func() { b.world.with(node, func(m *machine) { m.silent = false }) }
	}
	g := b.world.stopAt(p.op, node)
	j := b.begin(id, b.nodes[1])
	<-g.reached
	return j, func() { close(g.open) }
}

// faults are what may happen while a move is at a point. Each says how the
// instance must be in the end: on which of the nodes ("" either), and in which
// status ("" it is deleted).
var faults = []struct {
	name   string
	do     func(b *bundle, j job.Job, id ident.Instance)
	heal   func(b *bundle)
	state  job.State
	status instance.Status
	at     string // only at these points; "" at all
}{
	{name: "nothing", do: func(*bundle, job.Job, ident.Instance) {}, state: job.Succeeded, status: "running"},
	{name: "cancel", state: job.Cancelled, status: "running", do: func(b *bundle, j job.Job, _ ident.Instance) {
		if _, err := b.jobs.Cancel(b.t.Context(), b.admin, j.ID); err != nil {
			b.t.Error(err)
		}
	}},
	{name: "restart", state: job.Succeeded, status: "running", do: func(b *bundle, _ job.Job, _ ident.Instance) { b.restart() }},
	{name: "source away", state: job.Succeeded, status: "running", do: func(b *bundle, _ job.Job, _ ident.Instance) { b.away(b.nodes[0], true) },
		heal: func(b *bundle) { b.away(b.nodes[0], false) }},
	{name: "target away", state: job.Succeeded, status: "running", do: func(b *bundle, _ job.Job, _ ident.Instance) { b.away(b.nodes[1], true) },
		heal: func(b *bundle) { b.away(b.nodes[1], false) }},
	{name: "both away and a restart", state: job.Succeeded, status: "running", do: func(b *bundle, _ job.Job, _ ident.Instance) {
		b.away(b.nodes[0], true)
		b.away(b.nodes[1], true)
		b.restart()
	}, heal: func(b *bundle) { b.away(b.nodes[1], false); b.away(b.nodes[0], false) }},
	{name: "cancelled while the target is away", state: job.Cancelled, status: "running", do: func(b *bundle, j job.Job, _ ident.Instance) {
		b.away(b.nodes[1], true)
		if _, err := b.jobs.Cancel(b.t.Context(), b.admin, j.ID); err != nil {
			b.t.Error(err)
		}
		b.until("it runs on the old node again", func() bool {
			i := b.get(j.Instance)
			return i.Node == b.nodes[0] && (i.Status() == "running" || b.world.machines[b.nodes[0]].silent)
		})
	}, heal: func(b *bundle) { b.away(b.nodes[1], false) }},
	{name: "delete", state: job.Cancelled, do: func(b *bundle, _ job.Job, id ident.Instance) {
		if _, _, err := b.instances.Delete(b.t.Context(), b.admin, id); err != nil {
			b.t.Error(err)
		}
	}},
	{name: "forget", state: job.Cancelled, do: func(b *bundle, _ job.Job, id ident.Instance) {
		i := b.get(id)
		err := b.instances.Forget(b.t.Context(), b.admin, id)
		if i.Node == b.nodes[1] { // its data may be on the old node alone
			if !problem.Is(err, problem.Conflict) {
				b.t.Errorf("it was forgotten: %v", err)
			}
			_, _, err = b.instances.Delete(b.t.Context(), b.admin, id)
		} else {
			b.world.with(i.Node, func(m *machine) { delete(m.boxes, id) }) // its machine is scrap
		}
		if err != nil {
			b.t.Error(err)
		}
	}},
	{name: "suspend", state: job.Cancelled, status: "suspended", do: func(b *bundle, _ job.Job, id ident.Instance) {
		if _, _, err := b.instances.Suspend(b.t.Context(), b.admin, id, ""); err != nil {
			b.t.Error(err)
		}
	}},
	{name: "kill", state: job.Cancelled, status: "stopped", do: func(b *bundle, _ job.Job, id ident.Instance) {
		if _, _, err := b.instances.Power(b.t.Context(), b.admin, id, instance.Kill); err != nil {
			b.t.Error(err)
		}
	}},
	{name: "deadline", at: "copy stop settle", state: job.Failed, status: "running", do: func(b *bundle, j job.Job, _ ident.Instance) {
		b.away(b.nodes[1], true)
		b.world.with(b.nodes[0], func(m *machine) { m.online = false })
		time.Sleep(25 * time.Hour)
		b.ended(j, job.Failed)
	}, heal: func(b *bundle) { b.away(b.nodes[1], false); b.away(b.nodes[0], false) }},
}

// Whatever happens at whatever step, the instance is whole on exactly one node
// afterwards, and nothing else is left anywhere.
func TestEveryFaultAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, p := range points {
		for _, f := range faults {
			if f.at != "" && !slices.Contains(strings.Fields(f.at), p.name) {
				continue
			}
			t.Run(p.name+"/"+f.name, func(t *testing.T) {
				t.Parallel()
				scene(t, func(t *testing.T, b *bundle) {
					i, bystander := b.deploy(), b.deploy()
					j, goOn := b.reach(p, i.ID)
					f.do(b, j, i.ID)
					b.balanced()
					goOn()
					if f.heal != nil {
						time.Sleep(30 * time.Second)
						b.balanced()
						f.heal(b)
					}
					b.ended(j, f.state)
					b.calm()
					b.whole(i.ID, bystander.ID)
					if f.status == "" {
						if _, err := b.instances.Get(t.Context(), b.admin, i.ID); !problem.Is(err, problem.NotFound) {
							t.Errorf("it is still there: %v", err)
						}
						return
					}
					got := b.get(i.ID)
					if got.Status() != f.status {
						t.Errorf("it is %s, want %s", got.Status(), f.status)
					}
					switched := p.op == "apply" && !p.source || p.silent == "b"
					moved := f.state == job.Succeeded || switched && !strings.HasPrefix(f.name, "cancel") && f.name != "deadline"
					if want := b.nodes[0]; !moved && got.Node != want || moved && got.Node != b.nodes[1] {
						t.Errorf("it is on %s, of %v; moved should be %v", got.Node, b.nodes, moved)
					}
				})
			})
		}
	}
}

func TestAMoveThatWasGivenUpCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	for _, p := range points {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			scene(t, func(t *testing.T, b *bundle) {
				i := b.deploy()
				j, goOn := b.reach(p, i.ID)
				if _, err := b.jobs.Cancel(t.Context(), b.admin, j.ID); err != nil {
					t.Fatal(err)
				}
				goOn()
				b.calm()
				again, err := b.jobs.Retry(t.Context(), b.admin, j.ID)
				if err != nil {
					t.Fatal(err)
				}
				b.ended(again, job.Succeeded)
				b.calm()
				b.whole(i.ID)
				if got := b.get(i.ID); got.Node != b.nodes[1] {
					t.Errorf("it is on %s", got.Node)
				}
			})
		})
	}
}

func TestAMoveThatFailedAfterTheSwitchIsGivenBackAndCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		i := b.deploy()
		j, goOn := b.reach(point{op: "apply"}, i.ID)
		b.away(b.nodes[1], true)
		goOn()
		time.Sleep(25 * time.Hour)
		b.ended(j, job.Failed)
		b.until("it runs on the old node", func() bool { return b.get(i.ID).Status() == "running" })
		if got := b.get(i.ID); got.Node != b.nodes[0] {
			t.Errorf("it is on %s", got.Node)
		}
		b.away(b.nodes[1], false)
		b.calm()
		again, err := b.jobs.Retry(t.Context(), b.admin, j.ID)
		if err != nil {
			t.Fatal(err)
		}
		b.ended(again, job.Succeeded)
		b.calm()
		b.whole(i.ID)
		if got := b.get(i.ID); got.Node != b.nodes[1] {
			t.Errorf("it is on %s", got.Node)
		}
	})
}

func TestWhatIsLeftBehindIsRemovedHoweverLate(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		source := b.nodes[0]
		i := b.deploy()
		j, goOn := b.reach(point{silent: "b"}, i.ID)
		b.away(source, true)
		goOn()
		b.ended(j, job.Succeeded)
		time.Sleep(3 * time.Hour)
		b.restart()
		b.refused(i.ID, moveTo(source), problem.Conflict, "is still being removed")
		if n := b.count(`SELECT COUNT(*) FROM node_loads WHERE node_id = ? AND instances = 0 AND memory_mib = 0 AND nano_cpus = 0 AND disk_mib = 512`, string(source)); n != 1 {
			t.Error("what is left behind must take disk, and nothing else")
		}
		if err := b.machines.Delete(t.Context(), b.admin, source); !problem.Is(err, problem.Conflict) {
			t.Errorf("the node with the old copy was deleted: %v", err)
		}
		if _, _, err := b.instances.Delete(t.Context(), b.admin, i.ID); err != nil {
			t.Fatal(err)
		}
		b.until("it is deleted", func() bool {
			_, err := b.instances.Get(t.Context(), b.admin, i.ID)
			return problem.Is(err, problem.NotFound)
		})
		if boxes, _ := b.world.where(i.ID); len(boxes) != 1 {
			t.Errorf("on %v", boxes)
		}
		b.balanced()
		b.away(source, false)
		b.calm()
		b.whole(i.ID)
		if err := b.machines.Delete(t.Context(), b.admin, source); err != nil {
			t.Error(err)
		}
	})
}

func TestANodeThatNeverComesBackCanBeGivenUp(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		source := b.nodes[0]
		i := b.deploy()
		j, goOn := b.reach(point{silent: "b"}, i.ID)
		b.away(source, true)
		goOn()
		b.ended(j, job.Succeeded)
		moves, total, err := b.moves.Moves(t.Context(), 10, 0)
		if err != nil || total != 1 || moves[0].From != source || moves[0].Stage != "leaving" {
			t.Fatalf("%+v %v", moves, err)
		}
		if _, err := b.jobs.Cancel(t.Context(), b.admin, moves[0].Job); err != nil {
			t.Fatal(err)
		}
		if err := b.machines.Delete(t.Context(), b.admin, source); err != nil {
			t.Error(err)
		}
		b.balanced()
	})
}

func TestANodeThatComesBackIsNotKeptWaiting(t *testing.T) {
	t.Parallel()
	for n, name := range []string{"source", "target"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scene(t, func(t *testing.T, b *bundle) {
				i := b.deploy()
				j, goOn := b.reach(point{op: "finish", source: true}, i.ID)
				b.away(b.nodes[n], true)
				goOn()
				b.until("the move waits", func() bool { return b.job(j.ID).State == job.Waiting })
				b.away(b.nodes[n], false)
				back := time.Now()
				b.ended(j, job.Succeeded)
				if took := time.Since(back); took > 5*time.Second { // two copies of a second each
					t.Errorf("it went on after %s", took)
				}
			})
		})
	}
}

func TestIncomingVolumesOfNobodyAreDropped(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		i := b.deploy()
		of := "what is this"
		b.world.with(b.nodes[1], func(m *machine) { m.incoming["0badf00d"] = &of })
		j, goOn := b.reach(point{op: "finish", source: true}, i.ID)
		b.away(b.nodes[1], true)
		b.away(b.nodes[1], false)
		b.until("it is dropped", func() bool { _, incoming := b.world.where("0badf00d"); return len(incoming) == 0 })
		goOn()
		b.ended(j, job.Succeeded) // whose own incoming volume was left alone
		b.calm()
		b.whole(i.ID)
	})
}

func TestANodeThatKnowsMoreIsLeftAlone(t *testing.T) {
	t.Parallel()
	scene(t, func(t *testing.T, b *bundle) {
		source := b.nodes[0]
		i := b.deploy()
		j, goOn := b.reach(point{silent: "b"}, i.ID)
		b.away(source, true)
		goOn()
		b.ended(j, job.Succeeded)
		b.world.with(source, func(m *machine) { m.boxes[i.ID].generation = 1000 }) // another database had it here since
		b.away(source, false)
		b.calm()
		if boxes, _ := b.world.where(i.ID); len(boxes) != 2 {
			t.Errorf("it is on %v: what may be the only true one was removed", boxes)
		}
		b.balanced()
	})
}

func moveTo(node ident.Node) move.Order { return move.Order{Node: node} }
