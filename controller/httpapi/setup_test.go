package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// keys is an authenticator of fixed keys.
type keys struct {
	mu    sync.Mutex
	of    map[string]access.Caller
	asked int
}

func (k *keys) Authenticate(_ context.Context, key string) (access.Caller, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	c, ok := k.of[key]
	if !ok {
		return access.Caller{}, problem.New(problem.Unauthorized, "the API key is wrong")
	}
	return c, nil
}

func (k *keys) put(key string, c access.Caller) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.of[key] = c
}

func (k *keys) revoke(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.of, key)
}

func (k *keys) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.asked
}

func caller(id string, admin bool, scopes ...access.Scope) access.Caller {
	return access.Caller{
		Actor: access.Actor{Via: access.ViaKey, User: ident.User("user-" + id), Username: id, Key: ident.Key("key-" + id)},
		Admin: admin, Scopes: scopes, Dialect: access.Documented,
	}
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// logs keeps what was logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type bundle struct {
	t     testing.TB
	api   *httpapi.API
	keys  *keys
	clock *clock
	logs  *logs
	db    *store.DB
	url   string
	addr  string
	stop  func() error // ends Serve and gives what it returned
}

type settings struct {
	httpapi.Config
	hurry bool
}

type option func(*settings)

// hurried makes the API wait less.
func hurried(s *settings) { s.hurry = true }

func limited(n int) option { return func(c *settings) { c.RateLimit = n } }

func static(f fs.FS) option { return func(c *settings) { c.Static = f } }

// setup makes an API with the keys admin, write and read; register adds its
// operations; it is served on a loopback port.
func setup(t testing.TB, register func(*httpapi.API), options ...option) *bundle {
	t.Helper()
	b := prepare(t, options...)
	if register != nil {
		register(b.api)
	}
	if err := b.api.Err(); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = ln.Addr().String()
	b.url = "http://" + b.addr
	b.stop = b.serve(ln)
	return b
}

func prepare(t testing.TB, options ...option) *bundle {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := &bundle{t: t, keys: &keys{of: map[string]access.Caller{
		"admin": caller("admin", true, access.ScopeAdmin),
		"write": caller("write", false, access.ScopeWrite),
		"read":  caller("read", false, access.ScopeRead),
	}}, clock: &clock{at: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}, logs: &logs{}, db: db}
	cfg := settings{Config: httpapi.Config{
		Authenticator: b.keys, DB: db, Now: b.clock.now, Title: "Test", Version: "1",
		Logger: slog.New(slog.NewJSONHandler(b.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}}
	for _, o := range options {
		o(&cfg)
	}
	b.api, err = httpapi.New(cfg.Config)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.hurry {
		httpapi.Hurry(b.api)
	}
	return b
}

// serve runs Serve until the test's end or stop.
func (b *bundle) serve(ln net.Listener) (stop func() error) {
	ctx, cancel := context.WithCancel(b.t.Context())
	done := make(chan error, 1)
	go func() { done <- b.api.Serve(ctx, ln) }()
	var once sync.Once
	var err error
	stop = func() error {
		cancel()
		once.Do(func() {
			select {
			case err = <-done:
			case <-time.After(60 * time.Second):
				b.t.Error("Serve didn't return")
			}
		})
		return err
	}
	b.t.Cleanup(func() {
		if err := stop(); err != nil {
			b.t.Errorf("Serve: %v", err)
		}
	})
	return stop
}

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) json(t *testing.T) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("status %d, not a JSON object: %q", a.status, a.body)
	}
	return v
}

// code is error.code of the envelope.
func (a answer) code(t *testing.T) string {
	t.Helper()
	e, ok := a.json(t)["error"].(map[string]any)
	if !ok {
		return ""
	}
	code, _ := e["code"].(string)
	return code
}

// fields are the names in error.details.
func (a answer) fields(t *testing.T) string {
	t.Helper()
	e, _ := a.json(t)["error"].(map[string]any)
	details, _ := e["details"].([]any)
	var names []string
	for _, d := range details {
		m, _ := d.(map[string]any)
		name, _ := m["field"].(string)
		names = append(names, name)
	}
	return strings.Join(names, ",")
}

type header [2]string

func key(k string) header { return header{"X-Api-Key", k} }

func (b *bundle) do(method, path, body string, headers ...header) answer {
	b.t.Helper()
	return b.with(http.DefaultClient, method, path, body, headers...)
}

func (b *bundle) with(c *http.Client, method, path, body string, headers ...header) answer {
	b.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, r)
	if err != nil {
		b.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		if h[1] == "" {
			req.Header.Del(h[0])
		} else {
			req.Header.Set(h[0], h[1])
		}
	}
	res, err := c.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{res.StatusCode, res.Header, string(text)}
}
