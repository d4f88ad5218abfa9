package release_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/release"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const patience = 30 * time.Second

// agents are nodes' agents, as they would answer. A node that isn't there is
// offline.
type agents struct {
	t *testing.T

	mu     sync.Mutex
	states map[ident.Node]*wire.ReleaseState
	comes  map[ident.Node]func(s *wire.ReleaseState) // what will come of a release that is pushed; none: it is kept
	tried  map[ident.Node]func(s *wire.ReleaseState) // the same, once it was
	looked map[ident.Node]int                        // Release calls since the push
	pushes []ident.Node
	atOnce int // pushed and not settled yet
}

func (a *agents) Release(_ context.Context, id ident.Node) (wire.ReleaseState, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.states[id]
	if s == nil {
		return wire.ReleaseState{}, problem.New(problem.NodeOffline, "node %s is offline: no route", id)
	}
	if s.Arch == "" {
		return wire.ReleaseState{}, problem.New(problem.NotFound, "no such call")
	}
	if settle := a.tried[id]; settle != nil {
		if a.looked[id]++; a.looked[id] == 2 { // the first look finds it still changing over
			settle(s)
			delete(a.tried, id)
			a.atOnce--
		}
	}
	return *s, nil
}

func (a *agents) PushRelease(_ context.Context, id ident.Node, name, sum string, size int64, program io.Reader) (wire.ReleaseState, error) {
	text, err := io.ReadAll(program)
	if err != nil || int64(len(text)) != size || sumOf(text) != sum || name != "v7" {
		a.t.Errorf("pushed %q %s %d %q, %v", name, sum, size, text, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.states[id]
	if s == nil {
		return wire.ReleaseState{}, problem.New(problem.NodeOffline, "node %s is offline: no route", id)
	}
	if !strings.HasSuffix(string(text), s.Arch) && !strings.Contains(string(text), "for "+s.Arch) {
		a.t.Errorf("%s got %q", s.Arch, text)
	}
	if a.atOnce++; a.atOnce > 1 {
		a.t.Errorf("%d nodes are updated at once", a.atOnce)
	}
	a.pushes = append(a.pushes, id)
	a.looked[id] = 0
	s.Refused, s.Message, s.Trial = "", "", true
	a.tried[id] = a.comes[id]
	if delete(a.comes, id); a.tried[id] == nil {
		a.tried[id] = func(s *wire.ReleaseState) { s.Release, s.Trial = "v7", false }
	}
	return *s, nil
}

// set changes an agent.
func (a *agents) set(id ident.Node, s *wire.ReleaseState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.states[id] = s
}

func (a *agents) pushed() []ident.Node {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.pushes)
}

// list is the nodes that there are.
type list []node.Node

func (l list) All(context.Context) ([]node.Node, error) { return l, nil }

func (l list) Find(_ context.Context, _ store.Querier, id ident.Node) (node.Node, error) {
	for _, n := range l {
		if n.ID == id {
			return n, nil
		}
	}
	return node.Node{}, problem.New(problem.NotFound, "there is no such node")
}

type bundle struct {
	t      *testing.T
	db     *store.DB
	agents *agents
	nodes  list
	jobs   *job.Service
	all    *release.Service
	stop   func()
}

// setup has nodes a, b, c … on v6, all online.
func setup(t *testing.T, nodes int) *bundle {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := &bundle{t: t, db: db, agents: &agents{t: t, states: map[ident.Node]*wire.ReleaseState{},
		comes: map[ident.Node]func(*wire.ReleaseState){}, tried: map[ident.Node]func(*wire.ReleaseState){}, looked: map[ident.Node]int{}}}
	for n := range nodes {
		id := ident.Node(string(rune('a' + n)))
		arch := release.Architectures()[n%2]
		b.nodes = append(b.nodes, node.Node{ID: id, Name: "node-" + string(id), Certificate: "1"})
		b.agents.states[id] = &wire.ReleaseState{Release: "v6", Arch: arch}
	}
	b.run()
	return b
}

// run starts the jobs, as a controller's start does.
func (b *bundle) run() {
	b.jobs = job.NewService(b.db, event.New(time.Now), slog.New(slog.DiscardHandler), time.Now)
	b.all = release.NewService(release.Deps{DB: b.db, Jobs: b.jobs, Nodes: b.nodes, Agents: b.agents,
		Programs: release.Read(folder(b.t, "v7")), PublicURL: "http://panel.test", Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.jobs.Run(ctx) }()
	var once sync.Once
	b.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				b.t.Error(err)
			}
		})
	}
	b.t.Cleanup(b.stop)
}

func (b *bundle) update(id ident.Node) job.Job {
	b.t.Helper()
	j, err := b.all.Update(b.t.Context(), access.Local(), id)
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

// await waits until the job is in the state and gives it.
func (b *bundle) await(id ident.Job, want job.State) job.Job {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	j, err := b.jobs.AwaitThat(ctx, id, func(j job.Job) bool { return j.State == want })
	if err != nil || j.State != want {
		b.t.Fatalf("the job is %s (%s), want %s: %v", j.State, j.Message, want, err)
	}
	return j
}

func TestUpdateOfANode(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before  wire.ReleaseState
		comes   func(s *wire.ReleaseState)
		want    job.State
		message string
		pushes  int
	}{
		"well":                {wire.ReleaseState{Release: "v6", Arch: "arm64"}, nil, job.Succeeded, "done", 1},
		"goes back":           {wire.ReleaseState{Release: "v6", Arch: "amd64"}, func(s *wire.ReleaseState) { s.Trial, s.Refused, s.Message = false, "v7", "it ended 3 times" }, job.Failed, "went back to release v6: it ended 3 times", 1},
		"refused once before": {wire.ReleaseState{Release: "v6", Arch: "amd64", Refused: "v7", Message: "last year"}, nil, job.Succeeded, "done", 1},
		"already":             {wire.ReleaseState{Release: "v7", Arch: "amd64"}, nil, job.Succeeded, "done", 0},
		"fixed":               {wire.ReleaseState{Release: "v6", Arch: "amd64", Fixed: "it lies on a CD"}, nil, job.Failed, "it lies on a CD", 0},
		"no such machine":     {wire.ReleaseState{Release: "v6", Arch: "riscv64"}, nil, job.Failed, "riscv64", 0},
		"too old":             {wire.ReleaseState{Release: "v0"}, nil, job.Failed, "run the line with a new enrolment key", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, 1)
			b.agents.set("a", &tt.before)
			if tt.comes != nil {
				b.agents.comes["a"] = tt.comes
			}
			j := b.await(b.update("a").ID, tt.want)
			if !strings.Contains(j.Message, tt.message) || len(b.agents.pushed()) != tt.pushes {
				t.Errorf("%q after %d pushes", j.Message, len(b.agents.pushed()))
			}
		})
	}
}

func TestUpdateIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	b.agents.set("a", nil)
	first := b.update("a")
	if _, err := b.all.Update(t.Context(), access.Local(), "a"); !problem.Is(err, problem.ResourceBusy) || !strings.Contains(err.Error(), string(first.ID)) {
		t.Errorf("twice: %v", err)
	}
	if _, err := b.all.Update(t.Context(), access.Local(), "nobody"); !problem.Is(err, problem.NotFound) {
		t.Errorf("an unknown node: %v", err)
	}
	b.nodes[0].Certificate = ""
	if _, err := b.all.Update(t.Context(), access.Local(), "a"); !problem.Is(err, problem.Conflict) {
		t.Errorf("before its enrolment: %v", err)
	}
}

// An offline node is waited for; a restart of the controller after the push goes
// on without pushing again.
func TestUpdateWaitsAndGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t, 1)
	b.agents.set("a", nil)
	j := b.update("a")
	if waiting := b.await(j.ID, job.Waiting); !strings.Contains(waiting.Message, "no route") {
		t.Errorf("%q", waiting.Message)
	}
	b.agents.mu.Lock()
	b.agents.comes["a"] = func(*wire.ReleaseState) {} // it goes on changing over
	b.agents.states["a"] = &wire.ReleaseState{Release: "v6", Arch: "amd64"}
	b.agents.mu.Unlock()
	if err := b.db.Write(t.Context(), func(tx *store.Tx) error { return b.jobs.Wake(t.Context(), tx, "a") }); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := b.jobs.AwaitThat(ctx, j.ID, func(j job.Job) bool { return j.Step == "restart" }); err != nil {
		t.Fatal(err)
	}
	b.stop()
	b.agents.set("a", &wire.ReleaseState{Release: "v7", Arch: "amd64"})
	b.run()
	b.await(j.ID, job.Succeeded)
	if p := b.agents.pushed(); len(p) != 1 {
		t.Errorf("pushed to %v", p)
	}
}

func TestUpdateOfAll(t *testing.T) {
	t.Parallel()
	b := setup(t, 5)
	b.agents.set("b", nil)                                              // offline
	b.agents.set("c", &wire.ReleaseState{Release: "v7", Arch: "amd64"}) // has it
	b.agents.set("d", &wire.ReleaseState{Release: "v6", Arch: "arm64", Fixed: "by hand"})
	j, err := b.all.UpdateAll(t.Context(), access.Local())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.all.UpdateAll(t.Context(), access.Local()); !problem.Is(err, problem.ResourceBusy) {
		t.Errorf("twice: %v", err)
	}
	b.await(j.ID, job.Succeeded)
	if got := fmt.Sprint(b.agents.pushed()); got != "[a e]" {
		t.Errorf("pushed to %s", got)
	}
	lines, err := b.jobs.Lines(t.Context(), access.Local(), j.ID, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, l := range lines {
		text.WriteString(l.Text + "\n")
	}
	for _, want := range []string{"2 updated: node-a, node-e", "2 passed over", "node-b: node b is offline", "node-d: by hand"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the log lacks %q:\n%s", want, text.String())
		}
	}
}

// The first that fails ends the round, also when the controller restarts in it.
func TestUpdateOfAllStops(t *testing.T) {
	t.Parallel()
	b := setup(t, 4)
	b.agents.comes["b"] = func(s *wire.ReleaseState) { s.Trial, s.Refused, s.Message = false, "v7", "it hangs" }
	j, err := b.all.UpdateAll(t.Context(), access.Local())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := b.jobs.AwaitThat(ctx, j.ID, func(j job.Job) bool { return j.Step == "node-b" && strings.HasPrefix(j.Message, "the agent") }); err != nil {
		t.Fatal(err)
	}
	b.stop()
	b.run()
	failed := b.await(j.ID, job.Failed)
	for _, want := range []string{"node-b", "it hangs", "1 updated: node-a"} {
		if !strings.Contains(failed.Message, want) {
			t.Errorf("%q lacks %q", failed.Message, want)
		}
	}
	if got := fmt.Sprint(b.agents.pushed()); got != "[a b]" {
		t.Errorf("pushed to %s", got)
	}
	// Once the node is mended, the same again does the rest.
	again, err := b.jobs.Retry(t.Context(), access.Local(), j.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.await(again.ID, job.Succeeded)
	if got := fmt.Sprint(b.agents.pushed()); got != "[a b b c d]" {
		t.Errorf("pushed to %s", got)
	}
}
