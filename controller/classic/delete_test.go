package classic_test

import (
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestDeleteInBothDialects(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	for key, c := range map[string]struct{ done, miss int }{adminKey: {201, 400}, b.v03: {200, 404}} {
		id := b.deploy(h, b.admin, 30001)
		kept := b.deploy(h, b.admin, 30002)
		b.delete(key, "/api/instance/delete", nil).says(400, `Parameter "id" is required`)
		b.delete(key, "/api/instance/delete", object{"id": ""}).says(400, `Parameter "id" is required`)
		b.delete(key, "/api/instance/delete", object{"id": 5}).says(400, "id: must be text")
		b.delete(key, "/api/instance/delete", object{"id": "00000000"}).says(c.miss, "Instance not found")
		b.delete(key, "/api/instance/delete", object{"id": "../" + id}).says(c.miss, "Instance not found")
		b.delete(key, "/api/instance/delete", object{"id": id}).is(c.done, `{"message":"The instance has been deleted"}`)
		b.delete(key, "/api/instance/delete", object{"id": id}).says(c.miss, "Instance not found")
		if got := ids(b.get(adminKey, "/api/instances").list(200)); !slices.Equal(got, []string{kept}) {
			t.Errorf("left are %v", got)
		}
		if n := b.rows("allocations"); n != 1 {
			t.Errorf("%d ports are held", n)
		}
		again := b.deploy(h, b.admin, 30001) // the port is free
		for _, id := range []string{kept, again} {
			b.delete(key, "/api/instance/delete", object{"id": id}).into(c.done, &object{})
		}
	}
	if n := b.rows("instances") + b.rows("allocations"); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// While its node hasn't confirmed, the instance does not exist for anybody here.
func TestWhatIsBeingDeletedDoesNotExist(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	anna := b.user("anna")
	id := b.deploy(h, anna, 30001)
	h.Stop()
	b.online(h, false)
	const away = `{"message":"The instance is deleted; its node is away and removes its container and data when it is back"}`
	b.delete(adminKey, "/api/instance/delete", object{"id": id}).is(201, away)
	if n := b.rows("instances"); n != 1 {
		t.Fatalf("%d rows: the test shows nothing", n)
	}
	for key, miss := range map[string]int{adminKey: 400, b.v03: 404} {
		b.delete(key, "/api/instance/delete", object{"id": id}).says(miss, "Instance not found")
		b.post(key, "/api/getInstance", object{"id": id}).says(miss, "Instance not found")
		b.post(key, "/api/instances/suspend/"+id, nil).says(miss, "Instance not found")
		b.post(key, "/api/instances/unsuspend/"+id, nil).says(miss, "Instance not found")
		b.get(key, "/api/instances").is(200, "[]")
		b.post(key, "/api/getUserInstance", object{"userId": string(anna)}).is(200, "[]")
	}
	for _, u := range b.get(adminKey, "/api/users").list(200) {
		if len(u["accessTo"].([]any)) != 0 {
			t.Errorf("%v has access to %v", u["username"], u["accessTo"])
		}
	}
	h.Start(t) // the order is carried out when the node is back
	b.until("the instance is gone", func() bool { return b.rows("instances")+b.rows("allocations") == 0 })
	if removed := h.Removals(); len(removed) == 0 || string(removed[0].Instance) != id {
		t.Errorf("the node was told %v", removed)
	}
}

// Of many deletes at once one finds the instance, though all came before the
// first could write.
func TestDeleteAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	id := b.deploy(h, b.admin, 30001)
	writing, release := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		err := b.db.Write(t.Context(), func(*store.Tx) error {
			close(writing)
			<-release
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-writing
	got := map[int]int{}
	var mu sync.Mutex
	for range 20 {
		all.Go(func() {
			a, err := b.send(b.v03, http.MethodDelete, "/api/instance/delete", `{"id":"`+id+`"}`)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[a.status]++
		})
	}
	for range 100 { // by then they have come too
		b.instance(id)
	}
	close(release)
	all.Wait()
	if want := map[int]int{200: 1, 404: 19}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A node that takes its time doesn't hold the caller for ever.
func TestDeleteAnswersBeforeASlowNode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	id := b.deploy(h, b.admin, 30001)
	release := make(chan struct{})
	h.OnRemove(func(ident.Instance, wire.Removal) *fleettest.Answer { return &fleettest.Answer{Until: release} })
	b.classic.SetWaits(time.Minute, 10*time.Millisecond)
	b.delete(adminKey, "/api/instance/delete", object{"id": id}).is(201, `{"message":"The instance is being deleted"}`)
	b.get(adminKey, "/api/instances").is(200, "[]")
	close(release)
	b.until("the instance is gone", func() bool { return b.rows("instances") == 0 })
}

// A node that refuses the removal for good: the caller learns it.
func TestDeleteThatTheNodeRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	h := b.host("one")
	id := b.deploy(h, b.admin, 30001)
	h.OnRemove(func(ident.Instance, wire.Removal) *fleettest.Answer {
		return &fleettest.Answer{Problem: problem.New(problem.Conflict, "the volume is held by something else")}
	})
	b.delete(adminKey, "/api/instance/delete", object{"id": id}).says(500, "The instance could not be removed from its node: the volume is held by something else")
}
