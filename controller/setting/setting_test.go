package setting_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/setting"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), // idle connections of the tests' client
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends at its next tick
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
	)
}

type thing struct {
	Name  string   `json:"name"`
	Count int      `json:"count"`
	List  []string `json:"list"`
}

type bundle struct {
	t      testing.TB
	dir    string
	db     *store.DB
	events *event.Log
	set    *setting.Store
}

func now() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func setup(t testing.TB) *bundle {
	t.Helper()
	b := &bundle{t: t, dir: t.TempDir(), events: event.New(now)}
	var err error
	if b.db, err = store.Open(t.Context(), filepath.Join(b.dir, "berth.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.db.Close() })
	b.set = b.open()
	return b
}

func (b *bundle) open() *setting.Store {
	b.t.Helper()
	box, err := secret.Open(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := setting.New(setting.Config{DB: b.db, Events: b.events, Box: box, Now: now})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bundle) happened() string {
	b.t.Helper()
	list, _, err := b.events.List(b.t.Context(), b.db.Snapshot(), event.Filter{Sight: event.Everything(), Limit: 1000})
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		out = append([]string{string(e.Type) + " " + e.Subject + " " + e.Actor.Username + " " + string(e.Data)}, out...)
	}
	return strings.Join(out, "\n")
}

func secretly(s string) *string { return &s }

func TestADocument(t *testing.T) {
	t.Parallel()
	b := setup(t)
	doc := setting.Of(b.set, "thing", "key", thing{Name: "first", List: []string{"a"}})
	if st, err := doc.Get(t.Context(), nil); err != nil || st.Value.Name != "first" || st.HasSecret || !st.Updated.IsZero() {
		t.Fatalf("%+v, %v", st, err)
	}
	ctx := access.With(t.Context(), access.Local())
	st, err := doc.Change(ctx, func(c *setting.Change[thing]) error {
		c.Value.Name, c.Value.Count, c.Secret = "second", 2, secretly("s3cret")
		return nil
	})
	if err != nil || st.Value.Name != "second" || !st.HasSecret || !st.Updated.Equal(now()) {
		t.Fatalf("%+v, %v", st, err)
	}
	if st, err = doc.Get(t.Context(), nil); err != nil || st.Value.Count != 2 || st.Value.List[0] != "a" {
		t.Fatalf("%+v, %v", st, err)
	}
	if plain, err := doc.Secret(st); err != nil || plain != "s3cret" {
		t.Fatal(plain, err)
	}
	if h := b.happened(); h != `settings.changed thing local {"changed":["count","name","key"]}` {
		t.Fatal(h)
	}
}

func TestAChangeThatIsNoneOrRefusedDoesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	doc := setting.Of(b.set, "thing", "key", thing{List: []string{"a"}})
	no := problem.New(problem.Conflict, "no")
	if _, err := doc.Change(t.Context(), func(c *setting.Change[thing]) error { c.Value.Name = "x"; return no }); !problem.Is(err, problem.Conflict) {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := doc.Change(t.Context(), func(c *setting.Change[thing]) error { c.Secret = secretly(""); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := store.Count(t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM settings`); err != nil || n != 0 || b.happened() != "" {
		t.Fatal(n, err, b.happened())
	}
	// A list that is changed where it lies is seen as changed.
	if _, err := doc.Change(t.Context(), func(c *setting.Change[thing]) error { c.Value.List = append(c.Value.List, "b"); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := doc.Change(t.Context(), func(c *setting.Change[thing]) error { c.Value.List[0] = "z"; return nil }); err != nil {
		t.Fatal(err)
	}
	if st, err := doc.Get(t.Context(), nil); err != nil || st.Value.List[0] != "z" || strings.Count(b.happened(), `["list"]`) != 2 {
		t.Fatalf("%+v %v %s", st, err, b.happened())
	}
}

func TestTheSecretBelongsToItsDocumentAndKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	doc := setting.Of(b.set, "thing", "key", thing{})
	if _, err := doc.Change(t.Context(), func(c *setting.Change[thing]) error { c.Secret = secretly("s3cret"); return nil }); err != nil {
		t.Fatal(err)
	}
	err := b.db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO settings SELECT 'other', value, secret, updated_at FROM settings`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	other := setting.Of(b.set, "other", "key", thing{})
	st, err := other.Get(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := other.Secret(st); !problem.Is(err, problem.Conflict) || plain != "" {
		t.Fatal("a secret opened under another name")
	}
	if err := os.Remove(filepath.Join(b.dir, secret.FileName)); err != nil {
		t.Fatal(err)
	}
	anew := setting.Of(b.open(), "thing", "key", thing{})
	if st, err = anew.Get(t.Context(), nil); err != nil || !st.HasSecret {
		t.Fatal("the rest isn't readable", err)
	}
	if _, err := anew.Secret(st); !problem.Is(err, problem.Conflict) {
		t.Fatal(err)
	}
}

func TestTwoAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	doc := setting.Of(b.set, "thing", "", thing{})
	var work sync.WaitGroup
	for range 20 {
		work.Go(func() {
			if _, err := doc.Change(t.Context(), func(c *setting.Change[thing]) error { c.Value.Count++; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	if st, err := doc.Get(t.Context(), nil); err != nil || st.Value.Count != 20 {
		t.Fatalf("%+v, %v", st, err)
	}
}

// keys are the callers of these tests by their keys.
type keys map[string]access.Caller

// Authenticate is httpapi.Authenticator's.
func (k keys) Authenticate(_ context.Context, key string) (access.Caller, error) {
	if c, ok := k[key]; ok {
		return c, nil
	}
	return access.Caller{}, problem.New(problem.Unauthorized, "no such key")
}

// allure is what the login page may offer.
type allure struct{}

// OIDCButton is setting.Offers's.
func (allure) OIDCButton(context.Context) (string, error) { return "Example", nil }

// Mail is setting.Offers's.
func (allure) Mail(context.Context) (bool, error) { return true, nil }

// Passkeys is setting.Offers's.
func (allure) Passkeys() bool { return false }

func (b *bundle) serve() func(key, method, path, body string) (int, string) {
	b.t.Helper()
	who := func(permissions ...access.Permission) access.Caller {
		return access.Caller{Actor: access.Actor{Via: access.ViaKey, User: "u", Key: "k"}, Permissions: permissions, Scopes: []access.Scope{access.ScopeAdmin}}
	}
	api, err := httpapi.New(httpapi.Config{
		Authenticator: keys{"none": who(), "reads": who(access.ReadSettings), "writes": who(access.WriteSettings)},
		DB:            b.db, Logger: slog.New(slog.DiscardHandler), Now: now,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	setting.Mount(api, b.set, allure{})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- api.Serve(ctx, ln) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	return func(key, method, path, body string) (int, string) {
		b.t.Helper()
		req, err := http.NewRequestWithContext(b.t.Context(), method, "http://"+ln.Addr().String()+"/api/v1"+path, strings.NewReader(body))
		if err != nil {
			b.t.Fatal(err)
		}
		if key != "" {
			req.Header.Set("X-Api-Key", key)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			b.t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		if err != nil {
			b.t.Fatal(err)
		}
		return res.StatusCode, string(text)
	}
}

func TestThePanelsSettings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	call := b.serve()
	const public = `{"success":true,"data":{"name":"Berth","locale":"en","locales":["en","de"],"support_url":"","oidc":{"button":"Example"},"passkeys":false,"mail":true}}`
	if status, text := call("", "GET", "/panel", ""); status != 200 || text != public {
		t.Fatal(status, text)
	}
	for _, c := range []struct {
		key, method string
		want        int
	}{{"", "GET", 401}, {"none", "GET", 403}, {"reads", "GET", 200}, {"writes", "GET", 200}, {"", "PATCH", 401}, {"none", "PATCH", 403}, {"reads", "PATCH", 403}} {
		if status, text := call(c.key, c.method, "/settings/panel", `{"name":"Mine"}`); status != c.want {
			t.Errorf("%v: %d %s", c, status, text)
		}
	}
	for _, bad := range []string{
		`{"support_url":"javascript:alert(1)"}`, `{"support_url":"data:text/html,x"}`, `{"support_url":"//evil.test"}`, `{"support_url":"https://"}`,
		`{"support_url":"https://a:b@x.test"}`, `{"support_url":"java\nscript:alert(1)"}`, `{"support_url":"mailto:nobody"}`,
		`{"name":"   "}`, `{"name":"a\u0007b"}`, `{"locale":"xx"}`, `{"locale":""}`,
	} {
		if status, text := call("writes", "PATCH", "/settings/panel", bad); status != 422 {
			t.Errorf("%s: %d %s", bad, status, text)
		}
	}
	if b.happened() != "" {
		t.Fatal(b.happened())
	}
	status, text := call("writes", "PATCH", "/settings/panel", `{"name":" Mine ","locale":"de","support_url":"mailto:help@example.test"}`)
	if status != 200 || text != `{"success":true,"data":{"name":"Mine","locale":"de","support_url":"mailto:help@example.test"}}` {
		t.Fatal(status, text)
	}
	if h := b.happened(); h != `settings.changed panel  {"changed":["locale","name","support_url"]}` {
		t.Fatal(h)
	}
	if _, text := call("", "GET", "/panel", ""); !strings.Contains(text, `"name":"Mine","locale":"de"`) {
		t.Fatal(text)
	}
}
