package app_test

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/app"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/build"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestHealthNeedsNoKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.call("", "GET", "/api/v1/health", nil)
	if a.status != http.StatusOK || a.body != `{"success":true,"data":{"status":"ok"}}` {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

func TestStatusAndSystem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	status := b.get("/api/v1/status").object(http.StatusOK)
	counts, _ := status["counts"].(object)
	if status["state"] != "ok" || status["version"] != build.Version || counts["users"] != 1.0 || counts["images"].(float64) < 1 || counts["nodes"] != 0.0 || counts["instances"] != 0.0 {
		t.Errorf("%v", status)
	}
	system := b.get("/api/v1/system").object(http.StatusOK)
	started, err := time.Parse(time.RFC3339, system["started_at"].(string))
	if system["go"] != runtime.Version() || system["wire"] != float64(wire.Version) || system["database_bytes"].(float64) <= 0 || err != nil || started.After(time.Now()) {
		t.Errorf("%v", system)
	}
	owner := b.key(b.user("owner"), access.ScopeWrite)
	if a := b.call(owner, "GET", "/api/v1/system", nil); a.status != http.StatusForbidden {
		t.Errorf("somebody who is no admin reads the system: %d %s", a.status, a.body)
	}
}

// A node that went away and an engine that is away show in the status, and go.
func TestStatusOfParts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	n, _, err := b.app.Nodes.Create(t.Context(), access.Local(), node.Spec{Name: "a", Address: "127.0.0.1", Port: 1, MemoryMiB: 1024, DiskMiB: 1024})
	if err != nil {
		t.Fatal(err)
	}
	if s := b.get("/api/v1/status").object(200); s["state"] != "ok" || len(s["parts"].([]any)) != 2 {
		t.Errorf("a node that was never enrolled is no part that fails: %v", s)
	}
	authority, err := fleet.OpenAuthority(b.data, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	agent := fleettest.New(t, authority, n.ID)
	target := agent.Target()
	if _, err := b.app.Nodes.Change(t.Context(), access.Local(), n.ID, func(s *node.Spec) { s.Address, s.Port = target.Address, target.Port }); err != nil {
		t.Fatal(err)
	}
	err = b.app.DB.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE nodes SET certificate = ?, enrolled_at = 1 WHERE id = ?`, target.Certificate, string(n.ID))
		tx.AfterCommit(b.app.Fleet.Refresh)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.awaitPart("node a", "ok", "ok")
	agent.Say(func(h *wire.Hello) { h.Engine.Reachable, h.Engine.Message = false, "no socket" })
	agent.Emit(wire.Event{Type: wire.EventEngine, Engine: &wire.Engine{Reachable: false, Message: "no socket"}})
	if message := b.awaitPart("node a", "degraded", "degraded"); message != "no socket" {
		t.Errorf("%q", message)
	}
	agent.Stop()
	if message := b.awaitPart("node a", "offline", "degraded"); message == "" {
		t.Error("nothing says why the node is offline")
	}
	parts, _ := b.get("/api/v1/status").object(http.StatusOK)["parts"].([]any)
	last, _ := parts[len(parts)-1].(object)["last_seen_at"].(string)
	if at, err := time.Parse(time.RFC3339, last); err != nil || time.Since(at) > time.Minute || time.Since(at) < 0 {
		t.Errorf("the last contact was %q", last)
	}
}

// awaitPart waits until a part and the whole are in a state and gives what the
// part says of itself.
func (b *bundle) awaitPart(name, state, whole string) string {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		status := b.get("/api/v1/status").object(http.StatusOK)
		for _, p := range status["parts"].([]any) {
			part := p.(object)
			if part["name"] == name && part["state"] == state && status["state"] == whole {
				message, _ := part["message"].(string)
				return message
			}
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s is not %s: %v", name, state, status)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestOneControllerForADirectory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if _, err := app.New(t.Context(), config(t, b.data)); !errors.Is(err, app.ErrInUse) {
		t.Fatalf("a second controller: %v", err)
	}
	b.stop()
	again := setupAt(t, b.data)
	if again.app.FirstRun().Created {
		t.Error("the second run made the first admin again")
	}
	if a := again.get("/api/v1/status"); a.status != http.StatusOK {
		t.Errorf("the key of the first run: %d %s", a.status, a.body)
	}
}

// A first start whose secrets are too weak makes nothing, and can be repeated.
func TestFirstStartWithABadKey(t *testing.T) {
	t.Parallel()
	c := config(t, t.TempDir())
	c.APIKey = "short"
	if _, err := app.New(t.Context(), c); !problem.Is(err, problem.Validation) {
		t.Fatalf("a key of five characters: %v", err)
	}
	b := setupAt(t, c.Data)
	if !b.app.FirstRun().Created {
		t.Error("the failed start left a first admin behind")
	}
}

func TestDataDirectoryIsNobodyElses(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "deep", "data")
	setupAt(t, data).get("/api/v1/status") // from here on it runs
	for name, want := range map[string]os.FileMode{"": 0o700, "control.sock": 0o600, "lock": 0o600} {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v, %v; want %v", name, info.Mode().Perm(), err, want)
		}
	}
}

// The local socket needs no key and is an admin; the public door does.
func TestLocalSocket(t *testing.T) {
	t.Parallel()
	b := setup(t)
	client, done, err := app.LocalClient(t.Context(), b.data)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	defer client.CloseIdleConnections()
	res, err := client.Get("http://local/api/v1/system")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("the local socket answers %d", res.StatusCode)
	}
	if a := b.call("", "GET", "/api/v1/system", nil); a.status != http.StatusUnauthorized {
		t.Errorf("the public door answers %d", a.status)
	}
}

// What agents are told to call is kept for commands that open the directory.
func TestPublicURLIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stop()
	c := app.Config{Data: b.data, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	a, err := app.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	_, key, err := a.Nodes.Create(t.Context(), access.Local(), node.Spec{Name: "a", Address: "127.0.0.1", Port: 1, MemoryMiB: 1024, DiskMiB: 1024})
	if err != nil || !strings.Contains(key.EnrolCommand, "--controller http://panel.test ") {
		t.Errorf("%q, %v", key.EnrolCommand, err)
	}
}

// The public URL becomes part of a script that root runs.
func TestPublicURLThatIsNone(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"panel.test", "ftp://panel.test", "http://", "http://panel.test\ntouch /tmp/x", "http://panel.test?x=1", "http://u:p@panel.test"} {
		a, err := app.New(t.Context(), app.Config{Data: t.TempDir(), PublicURL: bad, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		if err == nil {
			_ = a.Close()
			t.Errorf("%q is taken", bad)
		} else if !strings.Contains(err.Error(), "public URL") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
