package move_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/move"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come, on the test's own clock.
const patience = 10 * time.Minute

type bundle struct {
	t     *testing.T
	dir   string
	world *world
	admin access.Caller
	owner ident.User
	image ident.Image
	nodes []ident.Node // a, b and c, with 1024 MiB of memory and 10240 of disk each

	db        *store.DB
	jobs      *job.Service
	machines  *node.Service
	ports     *allocation.Service
	instances *instance.Service
	moves     *move.Service
	stop      func()
}

type links struct{ *instance.Service }

// scene runs f with a controller and nodes in a bubble with a clock of its own.
func scene(t *testing.T, f func(t *testing.T, b *bundle)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bundle{t: t, dir: dir, world: newWorld(), admin: access.Local()}
		images := b.open()
		b.owner = "owner"
		b.write(func(tx *store.Tx) error {
			_, err := tx.ExecContext(t.Context(), `INSERT INTO users (id, username, email, password_hash, created_at, updated_at) VALUES ('owner', 'owner', 'o@example.org', '', 0, 0)`)
			return err
		})
		for _, name := range []string{"a", "b", "c"} {
			b.addNode(name)
		}
		b.image = must(images.Create(t.Context(), b.admin, image.Image{Name: "Game", Definition: image.Definition{
			References: []string{"example/game:1"}, Command: []string{"run"}, StopCommand: "stop",
		}}))(t).ID
		defer b.close()
		f(t, b)
	})
}

// open runs a controller on the directory.
func (b *bundle) open() *image.Service {
	t := b.t
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	b.db = must(store.Open(context.Background(), filepath.Join(b.dir, "berth.db")))(t)
	authority := must(fleet.OpenAuthority(b.dir, time.Now))(t)
	events := event.New(time.Now)
	b.jobs = job.NewService(b.db, events, log, time.Now)
	late := &links{}
	b.machines = node.NewService(node.Deps{DB: b.db, Events: events, Fleet: b.world, Authority: authority, Secrets: must(secret.Open(b.dir))(t),
		Instances: late, PublicURL: "http://panel.test", Log: log, Now: time.Now})
	b.ports = allocation.NewService(b.db, events, b.machines, time.Now)
	images := image.NewService(b.db, events, late, time.Now)
	b.instances = instance.NewService(instance.Deps{DB: b.db, Events: events, Jobs: b.jobs, Agents: b.world, Nodes: b.machines, Ports: b.ports, Log: log, Now: time.Now})
	late.Service = b.instances
	b.moves = move.NewService(move.Deps{DB: b.db, Events: events, Jobs: b.jobs, Agents: b.world, Nodes: b.machines, Ports: b.ports,
		Instances: b.instances, Log: log, Now: time.Now})
	ctx, cancel := context.WithCancel(context.Background())
	worked, pumped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(worked)
		if err := b.jobs.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	go func() {
		defer close(pumped)
		b.pump(ctx)
	}()
	b.stop = func() { cancel(); <-worked; <-pumped }
	return images
}

// pump lets the nodes' events take effect, in order.
func (b *bundle) pump(ctx context.Context) {
	for _, id := range b.world.OnlineNodes() {
		b.reconcile(ctx, id)
	}
	for {
		id, e, there := b.world.next()
		if !there {
			select {
			case <-b.world.signal:
				continue
			case <-ctx.Done():
				return
			}
		}
		err := b.db.Write(ctx, func(tx *store.Tx) error { return b.instances.ApplyEvent(ctx, tx, id, e) })
		if ctx.Err() != nil {
			return // it comes again
		}
		if err != nil {
			b.t.Errorf("event %+v of %s: %v", e, id, err)
		}
		b.world.take(id)
	}
}

func (b *bundle) reconcile(ctx context.Context, id ident.Node) {
	if err := b.instances.Reconcile(ctx, id, b.world.inventory(id)); err != nil && ctx.Err() == nil {
		b.t.Errorf("reconcile %s: %v", id, err)
	}
}

func (b *bundle) close() {
	b.t.Helper()
	b.stop()
	if err := b.db.Close(); err != nil {
		b.t.Error(err)
	}
}

// restart ends the controller as it is and runs another on the same database.
func (b *bundle) restart() {
	b.close()
	b.open()
}

// away has a node go, or come back.
func (b *bundle) away(id ident.Node, away bool) {
	b.world.with(id, func(m *machine) { m.online = !away })
	if !away {
		b.reconcile(b.t.Context(), id)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (b *bundle) addNode(name string) {
	b.t.Helper()
	n, _, err := b.machines.Create(b.t.Context(), b.admin, node.Spec{Name: name, Address: "192.0.2.1", Port: 8443, MemoryMiB: 1024, DiskMiB: 10240})
	if err != nil {
		b.t.Fatal(err)
	}
	b.write(func(tx *store.Tx) error {
		_, err := tx.ExecContext(b.t.Context(), `UPDATE nodes SET enrolled_at = 1, certificate = 'c' || name, hello = '{"engine":{"cores":4,"reachable":true}}' WHERE id = ?`, string(n.ID))
		return err
	})
	b.nodes = append(b.nodes, n.ID)
	b.world.add(n.ID)
}

func (b *bundle) write(f func(tx *store.Tx) error) {
	b.t.Helper()
	if err := b.db.Write(b.t.Context(), f); err != nil {
		b.t.Fatal(err)
	}
}

// deploy makes an instance on the first node and waits until it is ready.
func (b *bundle) deploy(edits ...func(*instance.New)) instance.Instance {
	b.t.Helper()
	n := instance.New{Name: "game", Owner: b.owner, Node: b.nodes[0], Image: b.image, MemoryMiB: 128, NanoCPUs: 5e8, DiskMiB: 512,
		Ports: []allocation.Mapping{{Host: uint16(20000 + rand.IntN(20000)), Container: 25565, Primary: true}}}
	for _, edit := range edits {
		edit(&n)
	}
	i, j, err := b.instances.Create(b.t.Context(), b.admin, n)
	if err != nil {
		b.t.Fatal(err)
	}
	b.ended(j, job.Succeeded)
	return b.get(i.ID)
}

// begin orders a move to a node.
func (b *bundle) begin(id ident.Instance, to ident.Node) job.Job {
	b.t.Helper()
	_, j, err := b.moves.Move(b.t.Context(), b.admin, id, move.Order{Node: to})
	if err != nil {
		b.t.Fatal(err)
	}
	return j
}

func (b *bundle) get(id ident.Instance) instance.Instance {
	b.t.Helper()
	return must(b.instances.Get(b.t.Context(), b.admin, id))(b.t)
}

func (b *bundle) job(id ident.Job) job.Job {
	b.t.Helper()
	return must(b.jobs.Get(b.t.Context(), b.admin, id))(b.t)
}

func (b *bundle) until(what string, holds func() bool) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for !holds() {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited for nothing: %s; %s", what, b.living())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// ended waits for the end of a job.
func (b *bundle) ended(j job.Job, state job.State) job.Job {
	b.t.Helper()
	b.until("the job ends", func() bool { return b.job(j.ID).State.Ended() })
	got := b.job(j.ID)
	if got.State != state {
		b.t.Fatalf("job %s is %s (%v), want %s", got.Kind, got.State, got.Failure, state)
	}
	return got
}

func (b *bundle) count(query string, args ...any) int {
	b.t.Helper()
	return must(store.Count(b.t.Context(), b.db.Snapshot(), query, args...))(b.t)
}

// living names the jobs that are alive, for messages.
func (b *bundle) living() string {
	rows, err := store.Collect(context.Background(), b.db.Snapshot(), func(row func(...any) error) (string, error) {
		var kind, state, message string
		err := row(&kind, &state, &message)
		return fmt.Sprintf("%s %s (%s)", kind, state, message), err
	}, `SELECT kind, state, message FROM jobs WHERE finished_at IS NULL`)
	return fmt.Sprint(rows, err)
}

// calm waits until no job is alive and every event has taken effect.
func (b *bundle) calm() {
	b.t.Helper()
	b.until("calm", func() bool {
		return b.count(`SELECT COUNT(*) FROM jobs WHERE finished_at IS NULL`) == 0 && b.world.quiet()
	})
}

// facts gives the types of the events about an instance's moves, the oldest first.
func (b *bundle) facts(id ident.Instance) []string {
	b.t.Helper()
	return must(store.Collect(b.t.Context(), b.db.Snapshot(), func(row func(...any) error) (s string, err error) { return s, row(&s) },
		`SELECT type FROM events WHERE instance_id = ? AND type LIKE 'instance.move%' ORDER BY id`, string(id)))(b.t)
}

// whole checks, when all is calm, that each instance is whole on exactly one node
// and that nothing else is left anywhere.
func (b *bundle) whole(ids ...ident.Instance) {
	t := b.t
	t.Helper()
	if wrong := b.world.mistakes(); wrong != "" {
		t.Error(wrong)
	}
	for _, id := range ids {
		i, err := b.instances.Get(t.Context(), b.admin, id)
		boxes, incoming := b.world.where(id)
		if len(incoming) > 0 {
			t.Errorf("instance %s is still coming to %v", id, incoming)
		}
		if err != nil {
			if len(boxes) > 0 {
				t.Errorf("instance %s is deleted, and still on %v", id, boxes)
			}
			continue
		}
		if len(boxes) != 1 || boxes[0] != i.Node {
			t.Errorf("instance %s lives on %s and is on %v", id, i.Node, boxes)
			continue
		}
		got, volume := b.world.look(i.Node, id)
		if len(volume) < 4 || volume[:4] != "made" || got.generation != i.Generation || got.spec.Copied && i.Spec.Copied {
			t.Errorf("instance %s has the volume %q at generation %d of %d", id, volume, got.generation, i.Generation)
		}
		runs := i.Power == wire.WantRunning && !i.Suspended
		if i.Phase != instance.Ready || i.Actual != got.state.Actual || (got.state.Actual == wire.ActualRunning) != runs {
			t.Errorf("instance %s is %s and %s (%v), should run: %v, and the node says %s", id, i.Phase, i.Actual, i.Failure, runs, got.state.Actual)
		}
		held := must(allocation.Of(t.Context(), b.db.Snapshot(), id))(t)
		if len(held) != len(i.Spec.Ports) {
			t.Errorf("instance %s has the ports %+v and holds %+v", id, i.Spec.Ports, held)
		}
		for n := range min(len(held), len(i.Spec.Ports)) {
			if a, p := held[n], i.Spec.Ports[n]; a.Node != i.Node || a.Port != p.Host || a.IP != p.IP || a.ContainerPort != p.Container {
				t.Errorf("instance %s has the port %+v and holds %+v", id, p, a)
			}
		}
	}
	b.balanced()
	if n := b.count(`SELECT COUNT(*) FROM moves`); n != 0 {
		t.Errorf("%d moves are left", n)
	}
}

// balanced checks what holds at every moment: loads are the sums, no node is over
// its limit, and ports are held only where the instance is or is going.
func (b *bundle) balanced() {
	b.t.Helper()
	if n := b.count(`SELECT COUNT(*) FROM node_loads l JOIN nodes n ON n.id = l.node_id WHERE
		l.instances <> (SELECT COUNT(*) FROM instances WHERE node_id = n.id)
		OR l.memory_mib <> (SELECT COALESCE(SUM(memory_mib), 0) FROM instances WHERE node_id = n.id) + (SELECT COALESCE(SUM(memory_mib), 0) FROM moves WHERE counts_on = n.id)
		OR l.disk_mib <> (SELECT COALESCE(SUM(disk_mib), 0) FROM instances WHERE node_id = n.id) + (SELECT COALESCE(SUM(disk_mib), 0) FROM moves WHERE counts_on = n.id)
		OR l.nano_cpus <> (SELECT COALESCE(SUM(nano_cpus), 0) FROM instances WHERE node_id = n.id) + (SELECT COALESCE(SUM(nano_cpus), 0) FROM moves WHERE counts_on = n.id)
		OR l.memory_mib > n.memory_mib OR l.disk_mib > n.disk_mib`); n != 0 {
		b.t.Errorf("the loads of %d nodes are not the sums, or over the limit", n)
	}
	if n := b.count(`SELECT COUNT(*) FROM allocations a JOIN instances i ON i.id = a.instance_id WHERE a.node_id <> i.node_id
		AND NOT EXISTS (SELECT 1 FROM moves m WHERE m.instance_id = i.id AND (m.stage = 'copying' AND m.to_node = a.node_id OR m.stage = 'switched' AND m.from_node = a.node_id))`); n != 0 {
		b.t.Errorf("%d ports are held on nodes where their instances have no business", n)
	}
}
