package node_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// watch runs a controller's Watch until the returned function ends it.
func (b *bundle) watch() (stop func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.nodes.Watch(ctx)
	}()
	return func() { cancel(); <-done }
}

// restart is a new process of the controller on the same data; no node is
// connected yet.
func (b *bundle) restart() {
	b.t.Helper()
	if err := b.db.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.fleet = &presences{of: map[ident.Node]fleet.Presence{}}
	b.open(b.fleet, time.Now)
	for _, n := range b.all() {
		b.fleet.set(n.ID, fleet.Presence{Since: time.Now(), Reason: "nothing listens at its address and port"})
	}
}

// comes connects a node as the fleet does.
func (b *bundle) comes(id ident.Node) {
	b.t.Helper()
	if _, err := b.nodes.Connected(b.t.Context(), id, wire.Hello{Node: id, Wire: wire.Version, Epoch: "one"}); err != nil {
		b.t.Fatal(err)
	}
	b.fleet.set(id, fleet.Presence{Online: true, Since: time.Now(), Heard: time.Now()})
	if err := b.nodes.Synced(b.t.Context(), id, wire.Inventory{}); err != nil {
		b.t.Fatal(err)
	}
}

// told counts the facts of a type about a node.
func (b *bundle) told(id ident.Node, fact string) int {
	b.t.Helper()
	n, err := store.Count(b.t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM events WHERE node_id = ? AND type = ?`, string(id), fact)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

// offline is what node.offline says.
type offline struct {
	Name, Reason string
	Since        time.Time
	LastSeenAt   time.Time `json:"last_seen_at"`
}

func (b *bundle) lastOffline(id ident.Node) offline {
	b.t.Helper()
	var text string
	row := b.db.Snapshot().QueryRowContext(b.t.Context(), `SELECT data FROM events WHERE node_id = ? AND type = 'node.offline' ORDER BY id DESC LIMIT 1`, string(id))
	if err := row.Scan(&text); err != nil {
		b.t.Fatal(err)
	}
	var o offline
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		b.t.Fatal(err)
	}
	return o
}

// bubble is a bundle in fake time.
func bubble(t *testing.T, test func(b *bundle)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &bundle{t: t, dir: t.TempDir(), fleet: &presences{of: map[ident.Node]fleet.Presence{}}, guests: &guests{refuse: map[int64]error{}}, log: &roomtest.Log{}}
		b.open(b.fleet, time.Now)
		test(b)
	})
}

func (b *bundle) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Of two nodes that were online when the controller ended, the one that does not
// come back is told to be offline, once, however often the controller restarts.
func TestMissingAfterARestartIsToldOnce(t *testing.T) {
	bubble(t, func(b *bundle) {
		gone, back, never := b.place("gone"), b.place("back"), b.place("never")
		b.comes(gone)
		b.comes(back)
		seen := time.Now()
		b.sleep(time.Hour) // killed: nobody has written anything at its end
		for range 3 {
			b.restart()
			stop := b.watch()
			b.sleep(10 * time.Second)
			b.comes(back)
			b.sleep(5 * time.Second)
			if n := b.told(gone, "node.offline"); n > 0 && b.lastOffline(gone).Since.IsZero() {
				t.Fatal("an empty alert")
			}
			b.sleep(time.Minute)
			stop()
			if b.told(gone, "node.offline") != 1 || b.told(back, "node.offline") != 0 || b.told(never, "node.offline") != 0 {
				t.Fatalf("told %d, %d, %d times: %s", b.told(gone, "node.offline"), b.told(back, "node.offline"), b.told(never, "node.offline"), b.facts())
			}
		}
		o := b.lastOffline(gone)
		if o.Name != "gone" || o.Reason != "nothing listens at its address and port" || !o.Since.Equal(seen) || !o.LastSeenAt.Equal(seen) {
			t.Errorf("%+v, last seen %s", o, seen)
		}
		b.restart()
		b.comes(gone) // another outage is told anew
		b.restart()
		stop := b.watch()
		b.sleep(time.Minute)
		stop()
		if n := b.told(gone, "node.offline"); n != 2 {
			t.Errorf("told %d times", n)
		}
	})
}

// Nothing is told before the nodes had their time to come back.
func TestGraceAfterAStart(t *testing.T) {
	bubble(t, func(b *bundle) {
		id := b.place("a")
		b.comes(id)
		b.restart()
		defer b.watch()()
		b.sleep(19 * time.Second)
		if n := b.told(id, "node.offline"); n != 0 {
			t.Fatal("told too early")
		}
		b.sleep(7 * time.Second)
		if n := b.told(id, "node.offline"); n != 1 {
			t.Fatalf("told %d times after 26 s", n)
		}
	})
}

// A connection that breaks off is told at once, and the watch doesn't repeat it;
// a controller that ends tells nothing of its nodes.
func TestOutageThatWasSeenIsNotRepeated(t *testing.T) {
	bubble(t, func(b *bundle) {
		id := b.place("a")
		stop := b.watch()
		b.comes(id)
		b.sleep(time.Minute)
		heard := time.Now()
		b.fleet.set(id, fleet.Presence{Since: heard.Add(12 * time.Second), Heard: heard, Reason: "silence"})
		b.sleep(12 * time.Second)
		b.nodes.Disconnected(b.t.Context(), id, context.DeadlineExceeded)
		if o := b.lastOffline(id); o.Reason != "silence" || !o.LastSeenAt.Equal(heard) || !o.Since.Equal(heard.Add(12*time.Second)) {
			t.Errorf("%+v", o)
		}
		b.sleep(5 * time.Minute)
		b.comes(id)
		b.nodes.Disconnected(b.t.Context(), id, fleet.ErrStopped)
		stop()
		b.restart()
		defer b.watch()()
		b.comes(id)
		b.sleep(5 * time.Minute)
		if n := b.told(id, "node.offline"); n != 1 {
			t.Errorf("told %d times: %s", n, b.facts())
		}
	})
}

// A killed controller forgets no more than half a minute of the last contact,
// also with a node that has nothing to tell.
func TestLastContactSurvives(t *testing.T) {
	bubble(t, func(b *bundle) {
		id := b.place("a")
		stop := b.watch()
		b.comes(id)
		for range 100 {
			b.sleep(5 * time.Second)
			b.fleet.set(id, fleet.Presence{Online: true, Heard: time.Now()})
		}
		last := time.Now()
		stop()
		b.restart()
		n := b.get(id)
		if n.LastSeenAt == nil || last.Sub(*n.LastSeenAt) > 35*time.Second || n.LastSeenAt.After(last) {
			t.Errorf("last contact %v, it was %s", n.LastSeenAt, last)
		}
		if state, _ := b.nodes.State(n); state != node.Offline {
			t.Errorf("%s", state)
		}
	})
}
