package classic_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// failed checks a deploy that failed inside: a 500 with the reason in details.
func (a answer) failed(reason string) {
	a.t.Helper()
	o := a.object(500)
	details, _ := o["details"].(string)
	if len(o) != 2 || o["error"] != "The instance could not be deployed" || !strings.Contains(details, reason) {
		a.t.Errorf("got %v, want details with %q", o, reason)
	}
}

// nothing checks that there is no instance, seen or unseen, and that no port is held.
func (b *bundle) nothing() {
	b.t.Helper()
	b.get(adminKey, "/api/instances").is(200, "[]")
	b.until("nothing is kept", func() bool { return b.rows("instances")+b.rows("allocations") == 0 })
}

func TestDeployOnAnOfflineNode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	h.Stop()
	b.online(h, false)
	b.until("it is told that the node is offline", func() bool { return b.rows("events WHERE type = 'node.offline'") == 1 })
	events, jobs := b.rows("events"), b.rows("jobs")
	for _, key := range []string{adminKey, b.v03} {
		b.post(key, "/api/instances/deploy", order(h, b.admin, 30001, nil)).failed("node one is offline: ")
	}
	if i, a, e, j := b.rows("instances"), b.rows("allocations"), b.rows("events"), b.rows("jobs"); i != 0 || a != 0 || e != events || j != jobs {
		t.Errorf("%d instances, %d ports, %d events, %d jobs were written", i, a, e-events, j-jobs)
	}
	if !strings.Contains(b.log.String(), "a deployment failed") {
		t.Error("the log doesn't know of it")
	}
}

// A node that was never let in is as offline as any.
func TestDeployOnANodeWithoutAnAgent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made := b.post(adminKey, "/api/nodes/create", newNode(nil)).object(201)["Message"].(object)
	b.post(adminKey, "/api/instances/deploy", order(host{id: made["id"].(string)}, b.admin, 30001, nil)).failed("node one is offline: ")
	b.nothing()
}

// The agent takes the order and breaks the connection off instead of answering:
// whether it has the instance nobody knows, so it is told to remove it.
func TestDeployWhoseAgentBreaksOff(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.idle("one")
	h.OnApply(func(wire.Spec) *fleettest.Answer { return &fleettest.Answer{Break: true} })
	for n, key := range []string{adminKey, b.v03} {
		b.post(key, "/api/instances/deploy", order(h, b.admin, 30001, nil)).failed("the call to node one failed")
		b.get(key, "/api/instances").is(200, "[]") // out of sight at once
		h.Wait(t, "the node is told to remove it", func() bool { return len(h.Removals()) > n })
		if i, a := b.rows("instances"), b.rows("allocations"); i != 1 || a != 1 {
			t.Errorf("%d instances and %d ports are held before the node has confirmed", i, a)
		}
		h.Emit(wire.Event{Type: wire.EventRemoved, Instance: h.Removals()[n].Instance})
		b.nothing()
	}
	h.OnApply(nil)
	h.Obey()
	b.deploy(h, b.admin, 30001) // the port is free, the node is all right
}

// The agent answers nonsense.
func TestDeployWhoseAgentAnswersNonsense(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	h.OnApply(func(wire.Spec) *fleettest.Answer { return &fleettest.Answer{Status: 202, Body: "<html>"} })
	b.post(adminKey, "/api/instances/deploy", order(h, b.admin, 30001, nil)).failed("node one")
	b.nothing()
}

// The agent refuses the order: its sentence is the answer.
func TestDeployThatTheAgentRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	h.OnApply(func(wire.Spec) *fleettest.Answer {
		return &fleettest.Answer{Problem: problem.New(problem.Validation, "this node mounts nothing at /app/data")}
	})
	b.post(adminKey, "/api/instances/deploy", order(h, b.admin, 30001, nil)).says(400, "this node mounts nothing at /app/data")
	b.nothing()
}

// The agent fails again and again, until the caller's patience is at its end.
func TestDeployThatTheAgentCannotDo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	h.OnApply(func(wire.Spec) *fleettest.Answer {
		return &fleettest.Answer{Problem: problem.New(problem.Internal, "the agent's disk is broken")}
	})
	b.classic.SetWaits(3*time.Second, time.Minute)
	b.post(adminKey, "/api/instances/deploy", order(h, b.admin, 30001, nil)).failed("the agent's disk is broken")
	b.nothing()
}

// An agent that is slow isn't one that breaks off: the work goes on.
func TestDeployAnswersBeforeASlowAgent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	release := make(chan struct{})
	h.OnApply(func(wire.Spec) *fleettest.Answer { return &fleettest.Answer{Until: release} })
	b.classic.SetWaits(10*time.Millisecond, time.Minute)
	id := b.post(adminKey, "/api/instances/deploy", order(h, b.admin, 30001, nil)).object(201)["Id"].(string)
	if got := b.instance(id)["InternalState"]; got != "INSTALLING" {
		t.Errorf("it is %v", got)
	}
	close(release)
	b.until("it is ready", func() bool { return b.instance(id)["InternalState"] == "READY" })
}

// What fails after the node has taken the instance on is the instance's own
// failure: it stays and says so.
func TestDeployThatFailsOnTheNode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	h.OnApply(func(s wire.Spec) *fleettest.Answer {
		h.Emit(fleettest.StateEvent(s, wire.State{Phase: wire.PhaseFailed, Actual: wire.ActualUnknown, Converged: true,
			Failure: problem.New(problem.NotFound, "image berth/demo:1 not found")}))
		return &fleettest.Answer{Problem: problem.New(problem.Conflict, "an answer that comes too late")}
	})
	for n := range 5 { // whichever of the two is first
		id := b.post(adminKey, "/api/instances/deploy", order(h, b.admin, 30001+n, nil))
		if id.status == 201 {
			b.until("it has failed", func() bool { return b.instance(id.object(201)["Id"].(string))["InternalState"] == "FAILED" })
		} else {
			id.says(400, "an answer that comes too late")
		}
	}
}

// fill makes the database's disk full for everything of this instance, to the
// last byte; the function that it gives makes room again.
func (b *bundle) fill(owner ident.User, id ident.Instance, node string) func() {
	b.t.Helper()
	limit := func(pages string) {
		b.t.Helper()
		err := b.db.Write(b.t.Context(), func(tx *store.Tx) error {
			_, err := tx.ExecContext(b.t.Context(), `PRAGMA max_page_count = `+pages)
			return err
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	limit(fmt.Sprint(must(store.Count(b.t.Context(), b.db.Snapshot(), `PRAGMA page_count`))(b.t)))
	for size := 3000; size > 0; size /= 2 {
		for b.event(owner, id, node, strings.Repeat("x", size)) == nil {
		}
	}
	return func() { limit("1000000") }
}

func (b *bundle) event(owner ident.User, id ident.Instance, node, text string) error {
	return b.db.Write(b.t.Context(), func(tx *store.Tx) error {
		return b.events.Append(b.t.Context(), tx, event.Event{Type: "test.filled", Owner: owner, Instance: id, Node: ident.Node(node), Actor: access.System()}, text)
	})
}

const textDiskFull = "the disk that holds the controller's database is full; nothing was changed"

func TestDatabaseDiskFull(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	id := b.deploy(h, b.admin, 30001)
	b.until("its job is done", func() bool { return b.rows(`jobs WHERE state = 'succeeded'`) == 1 })
	users, nodes, specs := b.rows("users"), b.rows("nodes"), len(h.Specs())
	free := b.fill(b.admin, ident.Instance(id), h.id)
	big := object{"name": "big", "variables": object{"A": strings.Repeat("x", 20000), "B": strings.Repeat("y", 12000)}}
	for _, key := range []string{adminKey, b.v03} {
		b.post(key, "/api/instances/deploy", order(h, b.admin, 30002, big)).failed(textDiskFull)
		b.delete(key, "/api/instance/delete", object{"id": id}).says(500, textDiskFull)
		b.post(key, "/api/instances/suspend/"+id, nil).says(500, textDiskFull)
		b.post(key, "/api/auth/create-user", object{"username": "new", "email": "new@example.org", "password": "pw"}).says(500, textDiskFull)
		b.post(key, "/api/nodes/create", newNode(object{"name": "two"})).says(500, textDiskFull)
		// Reading goes on, and nothing has changed.
		if o := b.get(key, "/api/instances").list(200); len(o) != 1 || o[0]["Id"] != id || o[0]["suspended"] != false || o[0]["InternalState"] != "READY" {
			t.Errorf("listed are %v", o)
		}
	}
	if u, n, a, s := b.rows("users"), b.rows("nodes"), b.rows("allocations"), len(h.Specs()); u != users || n != nodes || a != 1 || s != specs {
		t.Errorf("%d users, %d nodes, %d ports, %d specs more", u-users, n-nodes, a-1, s-specs)
	}
	free()
	b.post(adminKey, "/api/instances/deploy", order(h, b.admin, 30002, big)).object(201)
	b.delete(adminKey, "/api/instance/delete", object{"id": id}).object(201)
}

// Deploys while the node comes and goes: each is either there or not at all.
func TestDeployWhileTheAgentComesAndGoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	stop := make(chan struct{})
	var swinging sync.WaitGroup
	swinging.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			h.Stop()
			h.Start(t)
			b.until("it is back", func() bool { return b.fleet.Online(ident.Node(h.id)) })
		}
	})
	deployed := map[string]bool{}
	for n := range 30 {
		a := b.post(adminKey, "/api/instances/deploy", order(h, b.admin, 30001+n, object{"memory": 64}))
		switch a.status {
		case 201:
			deployed[a.object(201)["Id"].(string)] = true
		case 500:
			a.failed("")
		default:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	close(stop)
	swinging.Wait()
	list := ids(b.get(adminKey, "/api/instances").list(200))
	for _, id := range list {
		if !deployed[id] {
			t.Errorf("%s is there, though its deploy was answered with a 500", id)
		}
	}
	if len(list) != len(deployed) {
		t.Errorf("%d are there, %d were deployed", len(list), len(deployed))
	}
	b.until("what failed is gone for good", func() bool { return b.rows("instances") == len(deployed) })
}
