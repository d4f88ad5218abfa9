package registry

import (
	"slices"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// TestNodesAreToldWhatTheyNeed: and nothing else.
func TestNodesAreToldWhatTheyNeed(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.run()
	w.knows("n1") // once, so that what it held before is gone
	w.knows("n2")
	game := w.add(private)
	w.knows("n1", private)
	w.add("docker.io")
	w.knows("n1", "docker.io", private)
	w.add("nobody.example")
	w.add("scripts.example")
	w.knows("n2", "scripts.example")
	w.add("other.example")
	w.knows("n2", "other.example", "scripts.example")
	word := "another"
	_, err := w.svc.Change(t.Context(), access.Local(), game.ID, nil, &word)
	roomtest.Must(t, err)
	roomtest.Until(t, "n1 is told the new password", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		last := w.pushed["n1"][len(w.pushed["n1"])-1].Logins
		return len(last) == 2 && last[1] == wire.Registry{Host: private, Username: "anna", Password: word}
	})
	w.edit(func() { w.instances = w.instances[1:] })
	w.tell("instance.deleted", "n1")
	w.knows("n1", "docker.io")
	w.edit(func() { w.instances[0].Node = "n2" })
	w.tell("instance.moved", "n2")
	w.knows("n1")
	w.knows("n2", "docker.io", "other.example", "scripts.example")
	if hosts := w.hosts("n1"); slices.Contains(hosts, "nobody.example") {
		t.Errorf("n1 knows %q", hosts)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for n, pushes := range w.pushed {
		for i := 1; i < len(pushes); i++ {
			if pushes[i].Revision <= pushes[i-1].Revision {
				t.Errorf("%s: revision %d follows %d", n, pushes[i].Revision, pushes[i-1].Revision)
			}
		}
	}
}

// TestNodeThatComesBack is told what changed while it was away, by a revision that
// is higher than the one that it holds.
func TestNodeThatComesBack(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.edit(func() { w.offline["n1"] = true })
	w.run()
	w.knows("n2")
	w.add(private)
	w.tell("node.online", "n2")
	w.edit(func() {
		w.offline["n1"], w.since["n1"] = false, time.Unix(1000, 0)
		w.ahead["n1"] = time.Now().Add(time.Hour).UnixMilli() // a later clock's
	})
	if n := w.count("n1"); n != 0 {
		t.Errorf("a node that is offline was told %d times", n)
	}
	w.tell("node.online", "n1")
	w.knows("n1", private)
	told := w.count("n1")
	w.tell("node.online", "n1") // of the same connection
	w.tell("instance.created", "n2")
	w.edit(func() { w.since["n1"] = time.Unix(2000, 0) })
	w.tell("node.online", "n1") // of another, after which it may have lost it
	roomtest.Until(t, "it is told again", func() bool { return w.count("n1") == told+1 })
}

func TestPushIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.edit(func() { w.failing = 4 })
	w.run()
	w.add(private)
	w.knows("n1", private)
}

// spec is an order that names an image.
func spec(reference, script string) wire.Spec {
	s := wire.Spec{Instance: "0000000a", Image: wire.ImageSpec{Reference: reference}}
	if script != "" {
		s.Install.Script = &wire.Script{Image: script}
	}
	return s
}

// TestBeforeAnOrder: the node knows the login when the order comes, though its
// instance isn't the node's yet; and it is not told twice.
func TestBeforeAnOrder(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.edit(func() { w.instances = nil })
	prepare := func(n ident.Node, reference, script string) {
		t.Helper()
		roomtest.Must(t, w.svc.prepare(t.Context(), n, spec(reference, script)))
	}
	prepare("n1", "redis:7", "")
	if w.count("n1") != 0 {
		t.Error("told of nothing")
	}
	made := w.add(private)
	w.add("scripts.example")
	prepare("n1", "redis:7", "debian:12")
	if w.count("n1") != 0 {
		t.Error("told of what it doesn't need")
	}
	for range 3 {
		prepare("n1", private+"/game:1", "")
	}
	if hosts := w.hosts("n1"); w.count("n1") != 1 || !slices.Equal(hosts, []string{private}) {
		t.Errorf("told %d times, of %q", w.count("n1"), hosts)
	}
	prepare("n1", "redis:7", "scripts.example/installer")
	if hosts := w.hosts("n1"); !slices.Equal(hosts, []string{private, "scripts.example"}) {
		t.Errorf("with a script: %q", hosts)
	}
	word := "another"
	_, err := w.svc.Change(t.Context(), access.Local(), made.ID, nil, &word)
	roomtest.Must(t, err)
	prepare("n1", private+"/game:1", "")
	if w.count("n1") != 3 {
		t.Errorf("told %d times, want once more after a change", w.count("n1"))
	}
	w.edit(func() { w.since["n1"] = time.Unix(2000, 0) })
	prepare("n1", private+"/game:1", "")
	if w.count("n1") != 4 {
		t.Errorf("told %d times, want once more after it came back", w.count("n1"))
	}
	roomtest.Must(t, w.svc.Delete(t.Context(), access.Local(), made.ID))
	prepare("n1", private+"/game:1", "")
	if hosts := w.hosts("n1"); !slices.Equal(hosts, []string{"scripts.example"}) {
		t.Errorf("after the login was removed it knows %q", hosts)
	}
	w.add(private)
	prepare("n1", private+"/game:1", "")
	w.edit(func() { w.offline["n2"] = true })
	if err := w.svc.prepare(t.Context(), "n2", spec(private+"/game:1", "")); !problem.Is(err, problem.NodeOffline) {
		t.Errorf("a node that is away: %v", err)
	}
	w.edit(func() { w.failing = 1 })
	w.edit(func() { w.since["n1"] = time.Unix(3000, 0) })
	if err := w.svc.prepare(t.Context(), "n1", spec(private+"/game:1", "")); err == nil {
		t.Error("a push that failed lets the order through")
	}
	prepare("n1", private+"/game:1", "")
}

// TestOldAgent: one that doesn't know the call gets its orders all the same.
func TestOldAgent(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.add(private)
	w.edit(func() { w.old = true })
	roomtest.Must(t, w.svc.prepare(t.Context(), "n1", spec(private+"/game:1", "")))
}

// TestLooseReferences: what is no reference needs no login.
func TestLooseReferences(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.add("docker.io")
	w.edit(func() { w.instances = []instance.Listed{{Node: "n1", Reference: "NOT a reference"}} })
	list, err := w.svc.needed(t.Context(), "n1", nil)
	if err != nil || len(list.Logins) != 0 {
		t.Errorf("%d logins, %v", len(list.Logins), err)
	}
	roomtest.Must(t, w.svc.prepare(t.Context(), "n1", spec("NOT a reference", "")))
}
