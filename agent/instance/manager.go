package instance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-panel/berth/agent/install"
	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Journal is the durable record (agent/journal).
type Journal interface {
	Records() ([]journal.Record, error)
	Write(c journal.Change) error
	Post(events ...wire.Event)
	Ack(seq int64) ([]ident.Instance, error)
}

// Installer downloads into a new volume (agent/install).
type Installer interface {
	Run(ctx context.Context, files []wire.Download, limit int64, put install.Put, progress func(wire.Progress)) error
}

// Images are those that the agent makes itself (agent/demo). Provide puts the
// image on the engine when it is one of them and missing; mine is false for all
// others.
type Images interface {
	Provide(ctx context.Context, reference string) (mine bool, err error)
}

// Moves are the volumes that were copied here from other nodes (agent/move).
// Adopt makes such a volume the instance's; it may be repeated, and is nothing
// when the instance has its volume. Failures are *problem.Problem where people
// can do something about them.
type Moves interface {
	Adopt(id ident.Instance) error
}

// Config holds the node's own settings.
type Config struct {
	Network   runtime.NetworkSpec
	PidsLimit int64 // for specs that leave it open
}

// Deps are what a Manager works with; all are needed but Images, Scripts, Patcher, Moves, Console, Writers and SFTP.
type Deps struct {
	Engine    runtime.Engine
	Journal   Journal
	Volumes   Volumes
	Installer Installer
	Scripts   Scripts // nil: none is run
	Patcher   Patcher // nil: none is patched
	Images    Images
	Logins    Logins // nil: registries are shown none
	Moves     Moves
	Console   Console
	Writers   Writers
	Fence     Fence             // nil: nothing is limited
	Throttle  Throttle          // likewise
	SFTP      func() *wire.SFTP // where files are served over SFTP; nil, or giving nil: nowhere
	Log       *slog.Logger
	Now       func() time.Time
}

const (
	maxPulls = 2 // at a time
	maxWork  = 4 // creates and starts at a time
)

// Manager holds the owners and the connection to the engine. Its methods are
// safe for concurrent use, before and while Run runs.
type Manager struct {
	config Config
	deps   Deps
	now    func() time.Time
	log    *slog.Logger
	pulls  *pulls
	work   gate

	watches watches // of those who look at states

	network    gate         // one at a time makes the bridge
	networkFor int64        // the connection it was made for; behind the gate
	connection atomic.Int64 // counts the connections to the engine

	mu        sync.Mutex
	owners    map[ident.Instance]*owner
	strangers map[ident.Instance][]runtime.Container // containers of instances that the journal doesn't know
	engine    wire.Engine
	asked     bool         // the engine was asked at least once
	up        bool         // the watch stands and everything was listed
	spawn     func(*owner) // nil while Run doesn't run
	closed    bool
	looked    ident.Instance // the last one that a sweep looked at without need
	owned     sync.WaitGroup
}

// New loads the journal; nothing happens before Run.
func New(config Config, deps Deps) (*Manager, error) {
	if deps.Console == nil {
		deps.Console = noConsole{}
	}
	m := &Manager{
		config: config, deps: deps, now: deps.Now, log: deps.Log,
		pulls: newPulls(deps.Engine, deps.Logins, maxPulls), work: make(gate, maxWork), network: make(gate, 1),
		owners: map[ident.Instance]*owner{}, strangers: map[ident.Instance][]runtime.Container{},
		engine: wire.Engine{Message: "the engine was not asked yet"},
	}
	records, err := deps.Journal.Records()
	if err != nil {
		return nil, fmt.Errorf("load the instances: %w", err)
	}
	for _, r := range records {
		m.owners[r.Instance] = recall(m, r)
	}
	return m, nil
}

// Run lives until ctx ends: it watches the engine and lets the owners work. It
// returns when all of them are at rest; containers stay as they are.
func (m *Manager) Run(ctx context.Context) {
	m.mu.Lock()
	m.spawn = func(o *owner) { m.owned.Go(func() { o.run(ctx) }) }
	for _, o := range m.owners {
		m.spawn(o)
	}
	m.mu.Unlock()

	m.attend(ctx)

	m.mu.Lock()
	m.closed, m.spawn = true, nil
	m.mu.Unlock()
	m.owned.Wait()
	m.pulls.wait()
}

// Apply journals what should be of an instance and returns before it is. A spec
// of a lower generation than the one that is held changes nothing; one of the
// same generation makes the agent say the instance's state again. Failures are
// *problem.Problem.
func (m *Manager) Apply(spec wire.Spec) (wire.Accepted, error) {
	if err := Validate(spec); err != nil {
		return wire.Accepted{}, err
	}
	return m.hand(spec.Instance, func(o *owner) (wire.Accepted, error) { return o.apply(spec) })
}

// Spec gives the spec that the journal holds of an instance: NOT_FOUND when it
// holds none, also when there is a container of it; CONFLICT when the instance is
// being removed. It is shared: don't change what it points to.
func (m *Manager) Spec(id ident.Instance) (wire.Spec, error) {
	m.mu.Lock()
	o := m.owners[id]
	m.mu.Unlock()
	if o == nil {
		return wire.Spec{}, problem.New(problem.NotFound, "this node has no settings of instance %s", id)
	}
	return o.spec()
}

// Remove journals that an instance must go, with its container and volume; also
// one that was never heard of, so that the controller always learns of the end.
func (m *Manager) Remove(id ident.Instance, removal wire.Removal) (wire.Accepted, error) {
	if !id.Valid() {
		return wire.Accepted{}, problem.Invalid("instance", "%s", badInstance)
	}
	if removal.Generation < 1 {
		return wire.Accepted{}, problem.Invalid("generation", "must be 1 or more")
	}
	return m.hand(id, func(o *owner) (wire.Accepted, error) { return o.remove(removal) })
}

// hand lets the instance's owner take an order, also when the owner that was
// found is being forgotten just now.
func (m *Manager) hand(id ident.Instance, order func(*owner) (wire.Accepted, error)) (wire.Accepted, error) {
	for {
		o, err := m.ownerOf(id)
		if err != nil {
			return wire.Accepted{}, err
		}
		accepted, err := order(o)
		if errors.Is(err, errForgotten) {
			continue
		}
		if err != nil {
			m.forget(id)
			m.log.Error("the journal can't be written", "instance", id, "error", err)
			return wire.Accepted{}, problem.New(problem.Internal, "the node can't write its journal: its disk may be full").Because(err)
		}
		return accepted, nil
	}
}

func (m *Manager) ownerOf(id ident.Instance) (*owner, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, problem.New(problem.NodeOffline, "the agent is being stopped")
	}
	o := m.owners[id]
	if o == nil {
		o = newOwner(m, id)
		if boxes, ok := m.strangers[id]; ok {
			o.mail = mail{listed: true, boxes: boxes, changed: true}
			delete(m.strangers, id)
		}
		m.owners[id] = o
		if m.spawn != nil {
			m.spawn(o)
		}
	}
	return o, nil
}

// forget drops an owner that holds nothing any more.
func (m *Manager) forget(id ident.Instance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.owners[id]; o != nil && o.retire() {
		delete(m.owners, id)
	}
}

// Ack forgets all events up to seq, and the removed instances they told of.
func (m *Manager) Ack(seq int64) error {
	forgotten, err := m.deps.Journal.Ack(seq)
	if err != nil {
		return fmt.Errorf("acknowledge %d: %w", seq, err)
	}
	for _, id := range forgotten {
		m.forget(id)
	}
	return nil
}

// Inventory is everything that the agent holds: what the journal knows, and
// containers of this node that it doesn't know (after a journal was lost).
func (m *Manager) Inventory() wire.Inventory {
	m.mu.Lock()
	owners := make([]*owner, 0, len(m.owners))
	for _, o := range m.owners {
		owners = append(owners, o)
	}
	list := wire.Inventory{Instances: make([]wire.Holding, 0, len(owners)+len(m.strangers))}
	for id, boxes := range m.strangers {
		list.Instances = append(list.Instances, stranger(id, boxes))
	}
	m.mu.Unlock()
	for _, o := range owners {
		if h, ok := o.holding(); ok {
			list.Instances = append(list.Instances, h)
		}
	}
	return list
}

// References are the images that the instances held here are made from.
func (m *Manager) References() []string {
	m.mu.Lock()
	owners := slices.Collect(maps.Values(m.owners))
	m.mu.Unlock()
	list := make([]string, 0, len(owners))
	for _, o := range owners {
		if reference := o.reference(); reference != "" {
			list = append(list, reference)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func stranger(id ident.Instance, boxes []runtime.Container) wire.Holding {
	best := boxes[pick(boxes, func(runtime.Container) bool { return true })]
	state := wire.State{Phase: wire.PhaseReady, Actual: wire.ActualStopped, Container: string(best.ID)}
	if isUp(best) {
		started := best.StartedAt
		state.Actual, state.StartedAt = wire.ActualRunning, &started
	}
	return wire.Holding{Instance: id, Generation: best.Generation, State: state}
}

// Engine is what is known of the engine and its machine.
func (m *Manager) Engine() wire.Engine {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.engine
}

// gate lets a limited number through at a time.
type gate chan struct{}

func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) leave() { <-g }
