package roomtest

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/store"
)

// Patience is how long a test waits for what must come; far more than it takes.
const Patience = time.Minute

// Must ends the test unless err is nil.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Store opens a database in a directory of the test's own, and closes it at its end.
func Store(t testing.TB) *store.DB {
	t.Helper()
	return StoreIn(t, t.TempDir())
}

// StoreIn opens the database in dir, and closes it at the test's end.
func StoreIn(t testing.TB, dir string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(dir, "berth.db"))
	Must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// Tell writes facts, each in a transaction of its own. One that nobody did was the
// system's.
func Tell(t testing.TB, db *store.DB, log *event.Log, facts ...event.Event) {
	t.Helper()
	for _, e := range facts {
		if e.Actor.Via == "" {
			e.Actor = access.System()
		}
		Must(t, db.Write(t.Context(), func(tx *store.Tx) error { return log.Append(t.Context(), tx, e, nil) }))
	}
}

// Run runs f until the test ends, or until stop, which waits for its end.
func Run(t testing.TB, f func(ctx context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// Server is what Serve serves (controller/httpapi).
type Server interface {
	Serve(ctx context.Context, listener net.Listener) error
}

// Serve serves on a port of the loopback until the test ends. The URL has no
// path.
func Serve(t testing.TB, s Server) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Must(t, err)
	ServeOn(t, s, listener)
	return "http://" + listener.Addr().String()
}

// ServeOn serves on the listener until the test ends.
func ServeOn(t testing.TB, s Server, listener net.Listener) {
	Run(t, func(ctx context.Context) {
		if err := s.Serve(ctx, listener); err != nil {
			t.Error(err)
		}
	})
}

// Until waits for what has no signal of its own.
func Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// Clock is a time that tests move. Safe for concurrent use.
type Clock struct {
	now  func() time.Time
	mu   sync.Mutex
	past time.Duration
}

// NewClock is one that stands, at a noon.
func NewClock() *Clock { return ClockAt(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)) }

// ClockAt is one that stands.
func ClockAt(at time.Time) *Clock { return &Clock{now: func() time.Time { return at }} }

// RealClock is the machine's, moved on.
func RealClock() *Clock { return &Clock{now: time.Now} }

// Now is what it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now().Add(c.past)
}

// Add moves it on.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.past += d
}

// Log is one that a test reads. Safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Logger writes all into it.
func (l *Log) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Write is io.Writer.
func (l *Log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// String is all that was written.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
