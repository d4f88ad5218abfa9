package registry

import (
	"fmt"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"docker.io": "docker.io", "index.docker.io": "docker.io", "registry.example.com": "registry.example.com", " Registry.Example.com:5000 ": "registry.example.com:5000",
		"localhost": "localhost", "127.0.0.1:5000": "127.0.0.1:5000", "[2001:db8::1]:5000": "[2001:db8::1]:5000",
		"": "", "registry": "", "https://registry.example.com": "", "registry.example.com/team": "", "user@registry.example.com": "", "a b.example": "", "registry.example.com:port": "",
		"registry.example.com?x": "", "a\x00.example": "",
	} {
		got, err := readHost(given)
		if got != want || (want == "") != problem.Is(err, problem.Validation) {
			t.Errorf("%q is read as %q, %v; want %q", given, got, err, want)
		}
	}
	if _, err := readHost("registry"); err == nil || !strings.Contains(problem.From(err).Fields[0].Message, "registry:5000") {
		t.Errorf("a bare word: %v", err)
	}
}

func TestLogins(t *testing.T) {
	t.Parallel()
	w := setup(t)
	ctx, c := t.Context(), access.Local()
	made := w.add(private)
	if _, err := w.svc.Add(ctx, c, strings.ToUpper(private), "bob", "x"); !problem.Is(err, problem.Conflict) {
		t.Errorf("the same host again: %v", err)
	}
	for field, give := range map[string][3]string{
		"host": {"registry", "anna", "x"}, "username": {"a.example", "an:na", "x"}, "password": {"a.example", "anna", ""},
	} {
		if _, err := w.svc.Add(ctx, c, give[0], give[1], give[2]); !problem.Is(err, problem.Validation) || problem.From(err).Fields[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	w.add("docker.io")
	list, err := w.svc.List(ctx)
	if err != nil || len(list) != 2 || list[0].Host != "docker.io" || list[1].ID != made.ID || list[1].Username != "anna" || list[1].Broken {
		t.Errorf("%+v, %v", list, err)
	}
	name, word := "bob", "another"
	same, err := w.svc.Change(ctx, c, made.ID, nil, nil)
	if err != nil || !same.UpdatedAt.Equal(made.UpdatedAt) {
		t.Errorf("nothing changed: %+v, %v", same, err)
	}
	if changed, err := w.svc.Change(ctx, c, made.ID, &name, &word); err != nil || changed.Username != "bob" || changed.Host != private {
		t.Errorf("%+v, %v", changed, err)
	}
	known, err := w.svc.logins(ctx)
	if err != nil || known[private].password != "another" || known["docker.io"].password != hush {
		t.Errorf("%v", err)
	}
	bad := ""
	if _, err := w.svc.Change(ctx, c, made.ID, &bad, nil); !problem.Is(err, problem.Validation) {
		t.Errorf("an empty user name: %v", err)
	}
	roomtest.Must(t, w.svc.Delete(ctx, c, made.ID))
	for _, err := range []error{w.svc.Delete(ctx, c, made.ID), second(w.svc.Get(ctx, made.ID)), second(w.svc.Change(ctx, c, made.ID, &name, nil)), third(w.svc.Check(ctx, made.ID, ""))} {
		if !problem.Is(err, problem.NotFound) {
			t.Errorf("one that is gone: %v", err)
		}
	}
}

func second(_ Registry, err error) error { return err }
func third(_ Checked, err error) error   { return err }

// TestPasswordGoesInAndNeverOut: no view, event, log or column holds it, and a row
// that is given another host opens to nothing.
func TestPasswordGoesInAndNeverOut(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.edit(func() { w.failing = 3 }) // so that something is logged
	w.run()
	made := w.add(private)
	w.knows("n1", private)
	if _, err := w.svc.Check(t.Context(), made.ID, ""); err != nil {
		t.Fatal(err)
	}
	facts, _, err := w.events.List(t.Context(), w.db.Snapshot(), event.Filter{Sight: event.Everything(), Limit: 50})
	roomtest.Must(t, err)
	if len(facts) != 1 || facts[0].Type != "registry.created" || string(facts[0].Data) != `{"host":"`+private+`"}` {
		t.Errorf("%+v", facts)
	}
	var row string
	roomtest.Must(t, w.db.Snapshot().QueryRowContext(t.Context(), `SELECT id || host || username || CAST(password AS TEXT) FROM registries`).Scan(&row))
	for what, text := range map[string]string{"view": fmt.Sprintf("%+v", made.view()), "row": row, "log": w.log.String(), "events": string(facts[0].Data)} {
		if strings.Contains(text, hush) {
			t.Errorf("the password is in the %s: %s", what, text)
		}
	}
	if !strings.Contains(w.log.String(), "could not be told the logins of registries") {
		t.Errorf("the log says nothing: %s", w.log.String())
	}
	roomtest.Must(t, w.db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `UPDATE registries SET host = 'evil.example'`)
		return err
	}))
	if r, err := w.svc.Get(t.Context(), made.ID); err != nil || !r.Broken {
		t.Errorf("under another host it is %+v, %v", r, err)
	}
	if known, err := w.svc.logins(t.Context()); err != nil || len(known) != 0 {
		t.Errorf("under another host it opens: %v", err)
	}
}

// TestLostKey: a login that can't be read says what to do, and works once it is
// set again.
func TestLostKey(t *testing.T) {
	t.Parallel()
	w := setup(t)
	made := w.add(private)
	w.svc = w.service(t.TempDir())
	if r, err := w.svc.Get(t.Context(), made.ID); err != nil || !r.Broken {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := w.svc.Check(t.Context(), made.ID, ""); !problem.Is(err, problem.Conflict) || !strings.Contains(err.Error(), "set it again") {
		t.Errorf("a try: %v", err)
	}
	word := "new"
	if r, err := w.svc.Change(t.Context(), access.Local(), made.ID, nil, &word); err != nil || r.Broken {
		t.Errorf("set again: %+v, %v", r, err)
	}
	if got, err := w.svc.Check(t.Context(), made.ID, ""); err != nil || got.Status != wire.RegistryOK || w.tried[0].Password != "new" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	w := setup(t)
	made := w.add(private)
	w.edit(func() { w.offline["n1"] = true })
	got, err := w.svc.Check(t.Context(), made.ID, "")
	if err != nil || got.Node.ID != "n2" || got.Node.Name != "node n2" || got.Message != "taken, /v1/registries/check" {
		t.Errorf("any node: %+v, %v", got, err)
	}
	if len(w.tried) != 1 || w.tried[0] != (wire.Registry{Host: private, Username: "anna", Password: hush}) {
		t.Errorf("tried %d", len(w.tried))
	}
	if _, err := w.svc.Check(t.Context(), made.ID, "n1"); !problem.Is(err, problem.NodeOffline) {
		t.Errorf("one that is offline: %v", err)
	}
	if _, err := w.svc.Check(t.Context(), made.ID, "n3"); !problem.Is(err, problem.Validation) {
		t.Errorf("one that is none: %v", err)
	}
	w.edit(func() { w.offline["n2"] = true })
	if _, err := w.svc.Check(t.Context(), made.ID, ""); !problem.Is(err, problem.NodeOffline) {
		t.Errorf("no node: %v", err)
	}
}
