package move_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// world is the nodes' agents, as the wire promises them, carrying out at once what
// they are told. It outlives the controller.
type world struct {
	mu       sync.Mutex
	machines map[ident.Node]*machine
	gate     *gate
	copies   map[ident.Instance]int // passes so far
	made     map[ident.Instance]int // new volumes
	flying   int                    // copies under way
	most     int                    // of them at a time
	wrong    []string               // what must never happen
	signal   chan struct{}          // there may be events to be told
	pace     func() time.Duration   // that a call takes; nil none
}

type machine struct {
	node     ident.Node
	online   bool
	silent   bool // its events are held back
	sick     string
	image    wire.ImageReadiness
	corrupt  int // as many digests of incoming volumes come out wrong
	boxes    map[ident.Instance]*box
	incoming map[ident.Instance]*string
	events   []wire.Event
}

// box is an instance on a node; its volume is a line of what happened to it, nil
// when there is none.
type box struct {
	generation int64
	spec       wire.Spec
	state      wire.State
	volume     *string
}

// gate stops the first call that is of its kind, until it is opened.
type gate struct {
	op      string
	node    ident.Node
	reached chan struct{}
	open    chan struct{}
	done    bool
}

func newWorld() *world {
	return &world{machines: map[ident.Node]*machine{}, copies: map[ident.Instance]int{}, made: map[ident.Instance]int{}, signal: make(chan struct{}, 1)}
}

func (w *world) add(id ident.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.machines[id] = &machine{node: id, online: true, image: wire.ImageReady, boxes: map[ident.Instance]*box{}, incoming: map[ident.Instance]*string{}}
}

// with changes a machine.
func (w *world) with(id ident.Node, f func(*machine)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w.machines[id])
	w.poke()
}

func (w *world) poke() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// stopAt has the next call of that kind stopped; node "" is any.
func (w *world) stopAt(op string, node ident.Node) *gate {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate = &gate{op: op, node: node, reached: make(chan struct{}), open: make(chan struct{})}
	return w.gate
}

// call comes before every call's effect: it stops at a gate, and then refuses when
// the node is away. The lock is held when it returns nil.
func (w *world) call(ctx context.Context, op string, node ident.Node) (*machine, error) {
	w.mu.Lock()
	if w.pace != nil {
		timer := time.NewTimer(w.pace())
		w.mu.Unlock()
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		w.mu.Lock()
	}
	if g := w.gate; g != nil && !g.done && g.op == op && (g.node == "" || g.node == node) {
		g.done = true
		close(g.reached)
		w.mu.Unlock()
		select {
		case <-g.open:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		w.mu.Lock()
	}
	m := w.machines[node]
	if m == nil || !m.online {
		w.mu.Unlock()
		return nil, problem.New(problem.NodeOffline, "node %s is offline", node)
	}
	return m, nil
}

func (w *world) Apply(ctx context.Context, node ident.Node, spec wire.Spec) (wire.Accepted, error) {
	m, err := w.call(ctx, "apply", node)
	if err != nil {
		return wire.Accepted{}, err
	}
	defer w.mu.Unlock()
	b := m.boxes[spec.Instance]
	if b == nil {
		b = &box{state: wire.State{Phase: wire.PhaseInstalling, Actual: wire.ActualUnknown}}
		m.boxes[spec.Instance] = b
	}
	if spec.Generation < b.generation {
		return wire.Accepted{Generation: b.generation}, nil
	}
	if spec.Generation > b.generation {
		w.converge(m, b, spec)
	}
	state := b.state
	m.events = append(m.events, wire.Event{Type: wire.EventState, Instance: spec.Instance, Generation: b.generation, State: &state})
	w.poke()
	return wire.Accepted{Generation: b.generation}, nil
}

// converge carries a spec out; the caller holds the lock.
func (w *world) converge(m *machine, b *box, spec wire.Spec) {
	before := b.spec.Power.Order
	b.spec, b.generation = spec, spec.Generation
	name, sick := "made", m.sick
	b.state.Converged, b.state.Failure = true, nil
	arrived, came := m.incoming[spec.Instance]
	switch {
	case b.volume != nil:
	case spec.Copied && came:
		b.volume = arrived
		delete(m.incoming, spec.Instance)
	case spec.Copied:
		sick = "the volume that was to come isn't here"
	default:
		b.volume = &name
		if w.made[spec.Instance]++; w.made[spec.Instance] > 1 {
			w.wrong = append(w.wrong, fmt.Sprintf("instance %s was made anew on %s: its data is lost", spec.Instance, m.node))
		}
	}
	if sick != "" && b.state.Phase != wire.PhaseReady {
		b.state = wire.State{Phase: wire.PhaseFailed, Actual: wire.ActualStopped, Converged: true, Failure: problem.New(problem.Conflict, "%s", sick)}
		return
	}
	b.state.Phase, b.state.Container = wire.PhaseReady, "on-"+string(m.node)
	if spec.Moving && spec.Power.Want == wire.WantRunning {
		w.wrong = append(w.wrong, fmt.Sprintf("instance %s is to run on %s while it moves", spec.Instance, m.node))
	}
	if spec.Power.Want != wire.WantRunning || spec.Suspended {
		b.state.Actual = wire.ActualStopped
		return
	}
	if b.state.Actual != wire.ActualRunning || spec.Power.Order != before {
		line := *b.volume + " ran"
		b.volume = &line
	}
	b.state.Actual = wire.ActualRunning
	for _, other := range w.machines {
		if o := other.boxes[spec.Instance]; o != nil && o != b && o.state.Actual == wire.ActualRunning {
			w.wrong = append(w.wrong, fmt.Sprintf("instance %s runs on %s and on %s", spec.Instance, other.node, m.node))
		}
	}
}

func (w *world) Remove(ctx context.Context, node ident.Node, id ident.Instance, r wire.Removal) (wire.Accepted, error) {
	m, err := w.call(ctx, "remove", node)
	if err != nil {
		return wire.Accepted{}, err
	}
	defer w.mu.Unlock()
	if b := m.boxes[id]; b != nil && r.Generation < b.generation {
		return wire.Accepted{Generation: b.generation}, nil
	}
	delete(m.boxes, id)
	m.events = append(m.events, wire.Event{Type: wire.EventRemoved, Instance: id, Generation: r.Generation})
	w.poke()
	return wire.Accepted{Generation: r.Generation}, nil
}

func (w *world) Spec(ctx context.Context, node ident.Node, id ident.Instance) (wire.Spec, error) {
	m, err := w.call(ctx, "spec", node)
	if err != nil {
		return wire.Spec{}, err
	}
	defer w.mu.Unlock()
	if b := m.boxes[id]; b != nil {
		return b.spec, nil
	}
	return wire.Spec{}, problem.New(problem.NotFound, "no such instance")
}

func (w *world) OpenIncoming(ctx context.Context, node ident.Node, in wire.Incoming) (wire.IncomingState, error) {
	m, err := w.call(ctx, "open", node)
	if err != nil {
		return wire.IncomingState{}, err
	}
	defer w.mu.Unlock()
	if m.boxes[in.Instance] != nil {
		return wire.IncomingState{}, problem.New(problem.Conflict, "the instance is here already")
	}
	if !in.Spec.Copied || len(in.Spec.Ports) == 0 {
		w.wrong = append(w.wrong, fmt.Sprintf("the spec that was announced is %+v", in.Spec))
	}
	if m.incoming[in.Instance] == nil {
		m.incoming[in.Instance] = new(string)
	}
	return m.stateOf(in.Instance)
}

func (m *machine) stateOf(id ident.Instance) (wire.IncomingState, error) {
	got := m.incoming[id]
	if got == nil {
		return wire.IncomingState{}, problem.New(problem.NotFound, "nothing comes here of it")
	}
	s := wire.IncomingState{Image: m.image, Bytes: int64(len(*got))}
	if m.image == wire.ImageFailed {
		s.Failure = problem.New(problem.Conflict, "the registry is shut")
	}
	return s, nil
}

func (w *world) Incoming(ctx context.Context, node ident.Node, id ident.Instance) (wire.IncomingState, error) {
	m, err := w.call(ctx, "incoming", node)
	if err != nil {
		return wire.IncomingState{}, err
	}
	defer w.mu.Unlock()
	return m.stateOf(id)
}

func (w *world) DropIncoming(ctx context.Context, node ident.Node, id ident.Instance) error {
	m, err := w.call(ctx, "drop", node)
	if err != nil {
		return err
	}
	defer w.mu.Unlock()
	delete(m.incoming, id)
	return nil
}

// Copy takes a second.
func (w *world) Copy(ctx context.Context, from, to ident.Node, id ident.Instance, progress func(done, total int64)) error {
	w.mu.Lock()
	w.flying++
	w.most = max(w.most, w.flying)
	w.mu.Unlock()
	time.Sleep(time.Second)
	err := w.copy(ctx, from, to, id, progress)
	w.mu.Lock()
	w.flying--
	w.mu.Unlock()
	return err
}

func (w *world) copy(ctx context.Context, from, to ident.Node, id ident.Instance, progress func(done, total int64)) error {
	w.mu.Lock()
	w.copies[id]++
	op := "copy"
	if b := w.machines[from].boxes[id]; b == nil || b.state.Actual != wire.ActualRunning {
		op = "finish"
	}
	w.mu.Unlock()
	progress(1, 2)
	m, err := w.call(ctx, op, from)
	if err != nil {
		return err
	}
	defer w.mu.Unlock()
	target := w.machines[to]
	b := m.boxes[id]
	switch {
	case !target.online:
		return problem.New(problem.NodeOffline, "node %s is offline", to)
	case b == nil || b.volume == nil || target.incoming[id] == nil:
		return problem.New(problem.NotFound, "there is no such volume")
	}
	line := *b.volume
	target.incoming[id] = &line
	return nil
}

func (w *world) VolumeDigest(ctx context.Context, node ident.Node, id ident.Instance, incoming bool) (wire.Digest, error) {
	op := "digest"
	if incoming {
		op = "verify"
	}
	m, err := w.call(ctx, op, node)
	if err != nil {
		return wire.Digest{}, err
	}
	defer w.mu.Unlock()
	var line *string
	if incoming {
		line = m.incoming[id]
	} else if b := m.boxes[id]; b != nil {
		line = b.volume
	}
	if line == nil {
		return wire.Digest{}, problem.New(problem.NotFound, "there is no such volume")
	}
	text := *line
	if incoming && m.corrupt > 0 {
		m.corrupt--
		text += "?"
	}
	sum := sha256.Sum256([]byte(text))
	return wire.Digest{Done: true, Percent: 100, Sum: hex.EncodeToString(sum[:])}, nil
}

func (w *world) inventory(node ident.Node) wire.Inventory {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.machines[node]
	var out wire.Inventory
	for id, b := range m.boxes {
		out.Instances = append(out.Instances, wire.Holding{Instance: id, Generation: b.generation, State: b.state})
	}
	for id := range m.incoming {
		out.Incoming = append(out.Incoming, id)
	}
	return out
}

// next gives an event that is to be told, and takes it away once take is called.
func (w *world) next() (node ident.Node, e wire.Event, there bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, m := range w.machines {
		if m.online && !m.silent && len(m.events) > 0 {
			return id, m.events[0], true
		}
	}
	return "", wire.Event{}, false
}

func (w *world) take(node ident.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.machines[node].events = w.machines[node].events[1:]
}

func (w *world) quiet() bool {
	_, _, there := w.next()
	return !there
}

// where gives the nodes that have something of an instance.
func (w *world) where(id ident.Instance) (boxes, incoming []ident.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n, m := range w.machines {
		if m.boxes[id] != nil {
			boxes = append(boxes, n)
		}
		if m.incoming[id] != nil {
			incoming = append(incoming, n)
		}
	}
	slices.Sort(boxes)
	return boxes, incoming
}

// look gives an instance as a node has it.
func (w *world) look(node ident.Node, id ident.Instance) (b box, volume string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := w.machines[node].boxes[id]
	if found == nil {
		return box{}, ""
	}
	if found.volume != nil {
		volume = *found.volume
	}
	return *found, volume
}

// Presence, OnlineNodes and Refresh are node.Fleet.
func (w *world) Presence(node ident.Node) fleet.Presence {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.machines[node]
	return fleet.Presence{Online: m != nil && m.online, Since: time.Now()}
}

func (w *world) OnlineNodes() (out []ident.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, m := range w.machines {
		if m.online {
			out = append(out, id)
		}
	}
	return out
}

func (w *world) Refresh() {}

// mistakes gives what must never have happened.
func (w *world) mistakes() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.wrong, "; ")
}
