package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) {
	// net/http sleeps half a second before it closes a connection of which it has
	// not read everything, and nothing waits for that.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const patience = 30 * time.Second

// directory is a list of targets that a test changes.
type directory struct {
	mu       sync.Mutex
	targets  []fleet.Target
	err      error
	refusal  error // of Tunnelled and Renewed
	tunnels  []ident.Node
	renewals []fleet.Shown
}

// Tunnelled has the target be one with a tunnel, as the real directory does.
func (d *directory) Tunnelled(_ context.Context, node ident.Node) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tunnels = append(d.tunnels, node)
	for i := range d.targets {
		if d.targets[i].Node == node && d.refusal == nil {
			d.targets[i].Tunnel = true
		}
	}
	return d.refusal
}

// Renewed has the target have no other certificate.
func (d *directory) Renewed(_ context.Context, node ident.Node, shown fleet.Shown) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.renewals = append(d.renewals, shown)
	for i := range d.targets {
		if d.targets[i].Node == node && d.targets[i].NextCertificate == shown.Serial && d.refusal == nil {
			d.targets[i].Certificate, d.targets[i].NextCertificate = shown.Serial, ""
		}
	}
	return d.refusal
}

// told is what the directory was told.
func (d *directory) told() (tunnels []ident.Node, renewals []fleet.Shown) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.tunnels), slices.Clone(d.renewals)
}

func (d *directory) Targets(context.Context) ([]fleet.Target, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.targets), d.err
}

func (d *directory) set(targets ...fleet.Target) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.targets = targets
}

func (d *directory) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// sink records what it is told and takes each event once, as the real one does.
type sink struct {
	mu      sync.Mutex
	changed chan struct{}
	calls   []string
	hello   wire.Hello
	held    wire.Inventory
	cursor  map[string]int64 // by epoch
	events  []wire.Event
	why     []error
	refuse  map[string]error // by the method's name
	busy    map[ident.Node]bool
	overlap bool
	delay   time.Duration            // of each Events
	hold    map[string]chan struct{} // by the method's name: it returns once that is closed
}

func newSink() *sink {
	return &sink{changed: make(chan struct{}), cursor: map[string]int64{}, refuse: map[string]error{}, busy: map[ident.Node]bool{}, hold: map[string]chan struct{}{}}
}

// told notes a call and gives the error that the test wants of it.
func (s *sink) told(node ident.Node, name string, f func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overlap = s.overlap || s.busy[node]
	s.busy[node] = true
	defer delete(s.busy, node)
	hold := s.hold[name]
	s.mu.Unlock()
	runtime.Gosched() // room for a call that must not come now
	if hold != nil {
		<-hold
	}
	s.mu.Lock()
	s.calls = append(s.calls, name)
	err := s.refuse[name]
	if err == nil {
		f()
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return err
}

func (s *sink) Connected(_ context.Context, node ident.Node, hello wire.Hello) (after int64, err error) {
	err = s.told(node, "connected", func() { s.hello, after = hello, s.cursor[hello.Epoch] })
	return after, err
}

func (s *sink) Synced(_ context.Context, node ident.Node, inventory wire.Inventory) error {
	return s.told(node, "synced", func() { s.held = inventory })
}

func (s *sink) Events(_ context.Context, node ident.Node, epoch string, events []wire.Event) error {
	s.mu.Lock()
	delay := s.delay
	s.mu.Unlock()
	time.Sleep(delay)
	return s.told(node, "events", func() {
		for _, e := range events {
			if e.Seq > s.cursor[epoch] {
				s.events, s.cursor[epoch] = append(s.events, e), e.Seq
			}
		}
	})
}

func (s *sink) Disconnected(ctx context.Context, node ident.Node, why error) {
	if ctx.Err() != nil {
		why = errors.New("called with a context that had ended")
	}
	_ = s.told(node, "disconnected", func() { s.why = append(s.why, why) })
}

func (s *sink) slow(delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = delay
}

func (s *sink) block(name string, until chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold[name] = until
}

func (s *sink) fail(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse[name] = err
}

func (s *sink) wait(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if cond() {
			return
		}
		select {
		case <-changed:
		case <-deadline.C:
			t.Fatalf("waited for nothing: %s", what)
		}
	}
}

func (s *sink) count(name string) int {
	n := 0
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if c == name {
			n++
		}
	}
	return n
}

// heard is the list of calls.
func (s *sink) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(s.calls)
}

// took is the list of events that took effect.
func (s *sink) took() []wire.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// reasons is the list of what Disconnected was told.
func (s *sink) reasons() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.why)
}

// way is how the agents of a test are reached.
type way string

const (
	dialled   way = "dialled"
	tunnelled way = "tunnelled"
)

// bothWays runs a test with agents that are dialled, and again with agents that
// open tunnels.
func bothWays(t *testing.T, f func(t *testing.T, w way)) {
	t.Helper()
	for _, w := range []way{dialled, tunnelled} {
		t.Run(string(w), func(t *testing.T) {
			t.Parallel()
			f(t, w)
		})
	}
}

// gone is the reason of a node whose agent has ended.
func (w way) gone() string {
	if w == tunnelled {
		return "it has not opened its tunnel"
	}
	return "nothing listens"
}

// bundle is a fleet that runs, with its authority.
type bundle struct {
	way       way
	door      *fleettest.Door
	authority *fleet.Authority
	fleet     *fleet.Fleet
	directory *directory
	sink      *sink
	log       *logBook
	stop      func()
}

func setup(t testing.TB, w way, network *fleettest.Network) *bundle {
	t.Helper()
	authority, err := fleet.OpenAuthority(t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{way: w, authority: authority, directory: &directory{}, sink: newSink(), log: &logBook{}}
	options := fleet.Options{Authority: authority, Logger: slog.New(slog.NewTextHandler(b.log, nil)), Now: time.Now}
	if network != nil {
		options.Dial = network.Dial
	}
	b.fleet = fleet.New(options)
	if network != nil {
		b.door = network.OpenDoor(t, b.fleet)
	} else {
		b.door = fleettest.OpenLocalDoor(t, b.fleet)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := b.fleet.Run(ctx, b.directory, b.sink); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	b.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(func() {
		b.stop()
		if b.sink.overlap {
			t.Error("the sink was called twice at once for one node")
		}
	})
	return b
}

// agent starts an agent of a new node.
func (b *bundle) agent(t testing.TB) *fleettest.Agent {
	t.Helper()
	return b.agentOf(t, ident.Node(ident.New()))
}

// agentOf starts an agent of that node.
func (b *bundle) agentOf(t testing.TB, node ident.Node) *fleettest.Agent {
	t.Helper()
	if b.way == tunnelled {
		return fleettest.NewTunnelled(t, b.authority, node, b.door)
	}
	return fleettest.New(t, b.authority, node)
}

// join starts an agent and waits until it is online and synced.
func (b *bundle) join(t testing.TB) *fleettest.Agent {
	t.Helper()
	agent := b.agent(t)
	b.directory.set(agent.Target())
	b.fleet.Refresh()
	b.sink.wait(t, "synced", func() bool { return b.sink.count("synced") > 0 })
	return agent
}

// offline waits until the node's presence says why it is offline.
func (b *bundle) offline(t *testing.T, node ident.Node, reason string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		p := b.fleet.Presence(node)
		if !p.Online && strings.Contains(p.Reason, reason) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("want it offline with %q, have %+v", reason, p)
		}
		time.Sleep(time.Millisecond) // between looks at a value that has no signal
	}
}

// logs waits until the log holds a text.
func (b *bundle) logs(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !strings.Contains(b.log.String(), text); {
		if time.Now().After(deadline) {
			t.Fatalf("the log never said %q: %s", text, b.log)
		}
		time.Sleep(time.Millisecond) // between looks at a value that has no signal
	}
}

func wantProblem(t *testing.T, err error, code problem.Code, text string) {
	t.Helper()
	var p *problem.Problem
	if !errors.As(err, &p) || p.Code != code || !strings.Contains(p.Message, text) {
		t.Fatalf("want %s with %q, have %v", code, text, err)
	}
}

// logBook keeps the log for a look.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
