package push

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"))
}

// letter is a copy; what is unexported isn't sent and doesn't count.
type letter struct {
	Text   string
	unsent int
}

// world is nodes that take letters.
type world struct {
	t      *testing.T
	db     *store.DB
	events *event.Log
	log    roomtest.Log
	keeper *Keeper[letter]

	mu       sync.Mutex
	nodes    []ident.Node
	offline  map[ident.Node]bool
	since    map[ident.Node]time.Time
	text     map[ident.Node]string
	unread   error                // of Read
	failing  map[ident.Node]error // of Send
	held     map[ident.Node]int64 // revisions that nodes have
	got      map[ident.Node][]string
	gate     chan struct{} // not nil: sending waits for it
	sending  map[ident.Node]int
	most     int // that were sent to at a time
	twice    bool
	reads    int
	arrivals []ident.Node
}

func script(t *testing.T) *world {
	w := &world{t: t, nodes: []ident.Node{"n1", "n2"}, offline: map[ident.Node]bool{}, since: map[ident.Node]time.Time{}, text: map[ident.Node]string{},
		failing: map[ident.Node]error{}, held: map[ident.Node]int64{}, got: map[ident.Node][]string{}, sending: map[ident.Node]int{}}
	w.keeper = New(Deps{Nodes: w, Fleet: w, Log: w.log.Logger(), Now: time.Now},
		Plan[letter]{What: "letters", Touches: touches, Read: w.read, Send: w.send, Arrived: w.arrived})
	return w
}

// setup is a world with events that run.
func setup(t *testing.T) *world {
	w := script(t)
	w.db, w.events = roomtest.Store(t), event.New(time.Now)
	w.keeper.DB, w.keeper.Events = w.db, w.events
	return w
}

func touches(e event.Event) Touched {
	switch about, _, _ := strings.Cut(string(e.Type), "."); about {
	case "instance":
		return ItsNode
	case "user":
		return Everyone
	}
	return Nobody
}

func (w *world) read(context.Context) (Make[letter], error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	return func(_ context.Context, on ident.Node) (letter, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return letter{Text: w.text[on], unsent: w.reads}, nil
	}, w.unread
}

func (w *world) send(ctx context.Context, to ident.Node, l letter, revision int64) (int64, error) {
	w.mu.Lock()
	gate := w.gate
	w.sending[to]++
	w.twice = w.twice || w.sending[to] > 1
	w.most = max(w.most, len(w.sending))
	w.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sending[to]--; w.sending[to] == 0 {
		delete(w.sending, to)
	}
	if err := errors.Join(ctx.Err(), w.failing[to]); err != nil {
		return 0, err
	}
	if revision <= w.held[to] {
		return w.held[to], nil
	}
	w.held[to] = revision
	w.got[to] = append(w.got[to], l.Text)
	return revision, nil
}

func (w *world) arrived(_ context.Context, came ident.Node) {
	w.edit(func() { w.arrivals = append(w.arrivals, came) })
}

func (w *world) All(context.Context) (nodes []node.Node, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.nodes {
		nodes = append(nodes, node.Node{ID: id})
	}
	return nodes, nil
}

func (w *world) Presence(on ident.Node) fleet.Presence {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fleet.Presence{Online: !w.offline[on], Since: w.since[on]}
}

func (w *world) edit(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) tell(what event.Type, n ident.Node) {
	w.t.Helper()
	roomtest.Tell(w.t, w.db, w.events, event.Event{Type: what, Node: n})
}

// has waits until that is all that the node got.
func (w *world) has(n ident.Node, texts ...string) {
	w.t.Helper()
	roomtest.Until(w.t, fmt.Sprintf("%s has %q", n, texts), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return slices.Equal(w.got[n], texts)
	})
}

// wants has all nodes want other texts, so that a push that nobody asked for
// would show.
func (w *world) wants(text string) {
	w.edit(func() {
		for _, n := range w.nodes {
			w.text[n] = text
		}
	})
}

func TestEventsTouch(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.wants("a")
	roomtest.Run(t, w.keeper.Run)
	w.has("n1", "a")
	w.has("n2", "a")
	w.wants("b")
	w.tell("job.done", "n1") // nobody's
	w.tell("instance.updated", "n2")
	w.has("n2", "a", "b")
	w.has("n1", "a")
	w.tell("instance.updated", "n2") // nothing new
	w.tell("user.updated", "")
	w.has("n1", "a", "b")
	w.has("n2", "a", "b")
	w.edit(func() { w.nodes = append(w.nodes, "n3"); w.text["n3"] = "c" })
	w.tell("node.online", "n3")
	w.has("n3", "c")
	w.edit(func() { w.since["n1"] = time.Unix(1000, 0) }) // with what its disk holds
	if w.keeper.Current("n1") || !w.keeper.Current("n2") {
		t.Error("what was told over an old connection stands")
	}
	w.tell("node.online", "n1")
	w.has("n1", "a", "b", "b")
	w.tell("node.deleted", "n2")
	roomtest.Until(t, "it is forgotten", func() bool { return !w.keeper.Current("n2") })
	roomtest.Until(t, "both came at the beginning, and two since", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		slices.Sort(w.arrivals)
		return slices.Equal(w.arrivals, []ident.Node{"n1", "n1", "n2", "n3"})
	})
}

// TestOrder: an order waits for the push, and is told why there is none.
func TestOrder(t *testing.T) {
	t.Parallel()
	w := script(t)
	w.wants("a")
	roomtest.Must(t, w.keeper.Push(t.Context(), "n1"))
	roomtest.Must(t, w.keeper.Push(t.Context(), "n1"))
	w.has("n1", "a")
	w.wants("b")
	broken := errors.New("broken off")
	w.edit(func() { w.failing["n1"] = broken })
	if err := w.keeper.Push(t.Context(), "n1"); !errors.Is(err, broken) {
		t.Errorf("a push that breaks off: %v", err)
	}
	w.wants("a") // nobody knows which the node holds
	w.edit(func() { delete(w.failing, "n1"); w.held["n1"] = time.Now().Add(time.Hour).UnixMilli() })
	if w.keeper.Current("n1") {
		t.Error("a push that broke off stands")
	}
	roomtest.Must(t, w.keeper.Push(t.Context(), "n1"))
	w.has("n1", "a", "a")
	w.edit(func() { w.unread = broken })
	if err := w.keeper.Push(t.Context(), "n1"); !errors.Is(err, broken) {
		t.Errorf("what can't be read: %v", err)
	}
}

// bubble runs the pushing alone on a clock of its own.
func bubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := script(t)
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { w.keeper.pushDue(ctx) })
		test(t, w)
		cancel()
		done.Wait()
		w.keeper.tasks.Wait()
	})
}

func (w *world) texts(n ident.Node) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.got[n])
}

// TestChangesAreGathered: a crowd of them is one push.
func TestChangesAreGathered(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		for n := range 100 {
			w.wants(fmt.Sprint(n))
			w.keeper.book.mark("n1")
		}
		time.Sleep(gather)
		synctest.Wait()
		if got := w.texts("n1"); !slices.Equal(got, []string{"99"}) {
			t.Errorf("pushed %q", got)
		}
	})
}

// TestTriedAgain: after pauses that grow, to an end; a node that is offline isn't
// asked.
func TestTriedAgain(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		tries := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.reads
		}
		w.edit(func() { w.failing["n1"] = errors.New("no") })
		w.keeper.book.mark("n1")
		time.Sleep(gather)
		for n, wait := range []time.Duration{firstPause, 2 * firstPause, 4 * firstPause, 8 * firstPause, 16 * firstPause, 32 * firstPause, longestWait, longestWait} {
			synctest.Wait()
			if got := tries(); got != n+1 {
				t.Fatalf("%d tries, want %d", got, n+1)
			}
			time.Sleep(wait + gather)
		}
		w.edit(func() { w.offline["n1"] = true })
		time.Sleep(time.Hour)
		before := tries()
		time.Sleep(time.Hour)
		if now := tries(); now != before {
			t.Errorf("a node that is offline was tried %d times", now-before)
		}
		w.edit(func() { w.offline["n1"] = false; delete(w.failing, "n1") })
		w.keeper.book.mark("n1")
		time.Sleep(gather)
		synctest.Wait()
		if !w.keeper.Current("n1") {
			t.Error("it wasn't told when it was back")
		}
	})
}

// TestOneAtATime: a slow node holds up none but itself, and is told what changed
// meanwhile.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		for n := range 20 {
			w.nodes = append(w.nodes, ident.Node(fmt.Sprintf("m%02d", n)))
		}
		w.wants("a")
		gate := make(chan struct{})
		w.edit(func() { w.gate = gate })
		w.keeper.book.mark("n1")
		time.Sleep(gather)
		synctest.Wait()
		w.wants("b")
		w.edit(func() { w.gate = nil })
		var order error
		ordered := make(chan struct{})
		go func() { defer close(ordered); order = w.keeper.Push(t.Context(), "n1") }()
		for _, n := range w.nodes {
			w.keeper.book.mark(n)
		}
		time.Sleep(gather)
		synctest.Wait()
		if got := w.texts("m19"); !slices.Equal(got, []string{"b"}) {
			t.Errorf("behind a slow node: %q", got)
		}
		if got := w.texts("n1"); got != nil {
			t.Errorf("the slow one has %q", got)
		}
		close(gate)
		<-ordered
		time.Sleep(gather)
		synctest.Wait()
		if got := w.texts("n1"); order != nil || !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("the slow one has %q, %v", got, order)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.twice {
			t.Error("two pushes to a node at a time")
		}
		if w.most > pushesMost+1 {
			t.Errorf("%d nodes at a time", w.most)
		}
	})
}

// TestStuckNode: a push that never ends is cut.
func TestStuckNode(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		w.edit(func() { w.gate = make(chan struct{}) })
		w.keeper.book.mark("n1")
		time.Sleep(gather + pushWithin)
		synctest.Wait()
		w.edit(func() { w.gate = nil })
		time.Sleep(firstPause + gather)
		synctest.Wait()
		if got := len(w.texts("n1")); got != 1 || !strings.Contains(w.log.String(), "letters") {
			t.Errorf("%d pushes, and the log has %s", got, w.log.String())
		}
	})
}
