package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/app"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	flag.Parse()
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), // idle connections of the tests' client
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends at its next tick
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp/stackless.NewFunc.func1"),
	)
}

const (
	adminKey = "a-key-for-the-tests-only"
	password = "a password for the tests"
	patience = 30 * time.Second
)

// bundle is a whole controller behind a loopback listener.
type bundle struct {
	t    testing.TB
	app  *app.App
	data string
	url  string
	stop func()
}

func config(t testing.TB, data string) app.Config {
	return app.Config{Data: data, PublicURL: "http://panel.test", APIKey: adminKey, AdminPassword: password, Log: slog.New(slog.DiscardHandler), Now: time.Now,
		Hash: identity.Cost{MemoryKiB: 8, Passes: 1}}
}

// setup runs a controller on a new data directory until the test ends.
func setup(t testing.TB) *bundle {
	t.Helper()
	return setupAt(t, t.TempDir())
}

func setupAt(t testing.TB, data string) *bundle {
	t.Helper()
	return setupWith(t, config(t, data))
}

// setupWith runs a controller as it is configured.
func setupWith(t testing.TB, c app.Config) *bundle {
	t.Helper()
	a, err := app.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{t: t, app: a, data: c.Data, url: "http://" + ln.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.Run(ctx, ln); err != nil {
			t.Error(err)
		}
	}()
	var once sync.Once
	b.stop = func() {
		once.Do(func() {
			http.DefaultClient.CloseIdleConnections()
			cancel()
			<-done
		})
	}
	t.Cleanup(b.stop)
	return b
}

// opened is a controller that doesn't run.
func opened(t testing.TB) *app.App {
	t.Helper()
	a, err := app.New(t.Context(), config(t, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

type object = map[string]any

// answer is what came back.
type answer struct {
	t      testing.TB
	call   string
	status int
	header http.Header
	body   string
}

// call sends v as JSON; text goes as it is.
func (b *bundle) call(key, method, path string, v any) answer {
	b.t.Helper()
	return b.callWith(nil, key, method, path, v)
}

// callWith is call with more headers, which win.
func (b *bundle) callWith(header map[string]string, key, method, path string, v any) answer {
	b.t.Helper()
	var body io.Reader = http.NoBody
	switch v := v.(type) {
	case nil:
	case string:
		body = strings.NewReader(v)
	default:
		raw, err := json.Marshal(v)
		if err != nil {
			b.t.Fatal(err)
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	if key != "" {
		req.Header.Set("x-api-key", key)
	}
	if v != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, value := range header {
		req.Header.Set(name, value)
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
	return answer{t: b.t, call: method + " " + path, status: res.StatusCode, header: res.Header, body: string(text)}
}

func (b *bundle) get(path string) answer { b.t.Helper(); return b.call(adminKey, "GET", path, nil) }

// data checks the status and gives the envelope's data.
func (a answer) data(status int, v any) {
	a.t.Helper()
	var envelope struct {
		Success bool
		Data    json.RawMessage
	}
	if a.status != status || json.Unmarshal([]byte(a.body), &envelope) != nil || !envelope.Success {
		a.t.Fatalf("%s: got %d %s, want %d", a.call, a.status, a.body, status)
	}
	if err := json.Unmarshal(envelope.Data, v); err != nil {
		a.t.Fatalf("%s: %v in %s", a.call, err, envelope.Data)
	}
}

func (a answer) object(status int) object {
	a.t.Helper()
	var o object
	a.data(status, &o)
	return o
}

// key makes an API key; an empty user is the admin.
func (b *bundle) key(user ident.User, scopes ...access.Scope) string {
	b.t.Helper()
	if user == "" {
		admin, err := b.app.Users.UserByUsername(b.t.Context(), "admin")
		if err != nil {
			b.t.Fatal(err)
		}
		user = admin.ID
	}
	issued, err := b.app.Users.CreateKey(access.With(b.t.Context(), access.Local()), identity.NewKey{User: user, Name: "test", Scopes: scopes, Dialect: access.Documented})
	if err != nil {
		b.t.Fatal(err)
	}
	return issued.Text
}

func (b *bundle) user(name string) ident.User {
	b.t.Helper()
	u, err := b.app.Users.CreateUser(access.With(b.t.Context(), access.Local()), identity.NewUser{Username: name, Email: name + "@example.org", Password: "long enough"})
	if err != nil {
		b.t.Fatal(err)
	}
	return u.ID
}

// holder makes a user whose role has the permissions.
func (b *bundle) holder(name string, permissions ...access.Permission) ident.User {
	b.t.Helper()
	ctx := access.With(b.t.Context(), access.Local())
	role, err := b.app.Users.CreateRole(ctx, identity.Role{Name: name, Permissions: permissions})
	if err != nil {
		b.t.Fatal(err)
	}
	id := b.user(name)
	if _, err := b.app.Users.UpdateUser(ctx, id, identity.UserChange{Role: &role.ID}); err != nil {
		b.t.Fatal(err)
	}
	return id
}

// tables are those in which something half-made would show.
func tables() []string {
	return []string{"users", "api_keys", "images", "image_references", "nodes", "enrolment_keys", "instances", "allocations", "jobs", "events"}
}

// rows counts the rows of every table.
func (b *bundle) rows() map[string]int {
	b.t.Helper()
	out := map[string]int{}
	for _, table := range tables() {
		n, err := store.Count(b.t.Context(), b.app.DB.Snapshot(), `SELECT COUNT(*) FROM `+table)
		if err != nil {
			b.t.Fatal(err)
		}
		out[table] = n
	}
	return out
}

// golden compares with a file, or writes it when asked.
func golden(t testing.TB, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the program says (%s): look at the difference, then run the test with -update", file, firstDifference(string(got), string(want)))
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for n := range max(len(g), len(w)) {
		a, b := "", ""
		if n < len(g) {
			a = g[n]
		}
		if n < len(w) {
			b = w[n]
		}
		if a != b {
			return "the program: " + strings.TrimSpace(a) + "; the file: " + strings.TrimSpace(b)
		}
	}
	return "the same"
}
