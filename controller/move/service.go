package move

import (
	"context"
	"log/slog"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Agents is what we ask of the nodes' agents. Every call may be repeated.
type Agents interface {
	Apply(ctx context.Context, node ident.Node, spec wire.Spec) (wire.Accepted, error)
	Remove(ctx context.Context, node ident.Node, instance ident.Instance, r wire.Removal) (wire.Accepted, error)
	OpenIncoming(ctx context.Context, node ident.Node, in wire.Incoming) (wire.IncomingState, error)
	Incoming(ctx context.Context, node ident.Node, instance ident.Instance) (wire.IncomingState, error)
	DropIncoming(ctx context.Context, node ident.Node, instance ident.Instance) error
	// Copy makes one pass; what has arrived stays when it is cut short.
	Copy(ctx context.Context, from, to ident.Node, instance ident.Instance, progress func(done, total int64)) error
	VolumeDigest(ctx context.Context, node ident.Node, instance ident.Instance, incoming bool) (wire.Digest, error)
}

// Nodes finds nodes and chooses among them.
type Nodes interface {
	Find(ctx context.Context, q store.Querier, id ident.Node) (node.Node, error)
	Place(ctx context.Context, tx *store.Tx, w node.Want) (node.Node, error)
	SetMaintenance(ctx context.Context, tx *store.Tx, by access.Actor, id ident.Node, on bool) error
}

// Ports gives and takes allocations.
type Ports interface {
	Claim(ctx context.Context, tx *store.Tx, r allocation.ClaimRequest) ([]allocation.Allocation, error)
	Reassign(ctx context.Context, q store.Querier, n node.Node, ports []allocation.Mapping) ([]allocation.Mapping, error)
	HeldOn(ctx context.Context, q store.Querier, instance ident.Instance, node ident.Node) ([]allocation.Allocation, error)
	ReleaseOn(ctx context.Context, tx *store.Tx, instance ident.Instance, node ident.Node) error
}

// Jobs is what we need of the durable work.
type Jobs interface {
	Register(kind job.Kind, p job.Policy)
	Enqueue(ctx context.Context, tx *store.Tx, n job.New) (job.Job, error)
	Finish(ctx context.Context, tx *store.Tx, id ident.Job, failed *problem.Problem) error
	Progress(ctx context.Context, tx *store.Tx, id ident.Job, step string, percent int, message string) error
	Remember(ctx context.Context, tx *store.Tx, id ident.Job, v any) error
	Nudge(ctx context.Context, tx *store.Tx, id ident.Job) error
}

// Deps are the rooms that moves stand on.
type Deps struct {
	DB        *store.DB
	Events    *event.Log
	Jobs      Jobs
	Agents    Agents
	Nodes     Nodes
	Ports     Ports
	Instances *instance.Service
	Log       *slog.Logger
	Now       func() time.Time
}

// Service is the verbs of moves. Safe for concurrent use.
type Service struct{ Deps }

// NewService makes the service, registers its kinds of jobs, and attaches itself
// to the instances.
func NewService(d Deps) *Service {
	s := &Service{Deps: d}
	s.register()
	d.Instances.Attach(s)
	return s
}

// Move begins to bring an instance to another node: room and ports are kept
// there, or nothing happens. An instance at which another job is at work is
// RESOURCE_BUSY; one that was never ready, ports that are taken and a node that
// takes no instances are a CONFLICT; too little room is INSUFFICIENT_RESOURCES.
func (s *Service) Move(ctx context.Context, c access.Caller, id ident.Instance, o Order) (i instance.Instance, j job.Job, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if i, j, err = s.begin(ctx, tx, c, id, o); err != nil {
			return err
		}
		return httpapi.Keep(ctx, tx, view(i, j))
	})
	return i, j, err
}

func (s *Service) begin(ctx context.Context, tx *store.Tx, c access.Caller, id ident.Instance, o Order) (i instance.Instance, j job.Job, err error) {
	if i, err = s.Instances.Movable(ctx, tx, c, id); err != nil {
		return i, j, err
	}
	if j, err = s.Jobs.Enqueue(ctx, tx, work(i, c.Actor, o)); err != nil {
		return i, j, err
	}
	_, err = s.reserve(ctx, tx, i, j, o)
	return i, j, err
}

func work(i instance.Instance, by access.Actor, o Order) job.New {
	return job.New{Kind: instance.KindMove, Instance: i.ID, Node: i.Node, Owner: i.Owner, Actor: by, Input: o}
}

// reserve keeps room and ports on the new node, in tx.
func (s *Service) reserve(ctx context.Context, tx *store.Tx, i instance.Instance, j job.Job, o Order) (Move, error) {
	last, there, err := underWay(ctx, tx, i.ID)
	if err != nil {
		return Move{}, err
	}
	if there {
		return Move{}, s.unsettled(ctx, tx, last)
	}
	to, ports, err := s.choose(ctx, tx, i, o)
	if err != nil {
		return Move{}, err
	}
	if _, err := s.Ports.Claim(ctx, tx, allocation.ClaimRequest{Node: to.ID, Instance: i.ID, IP: to.BindAddress, Ports: ports}); err != nil {
		return Move{}, err
	}
	m := Move{
		Job: j.ID, Instance: i.ID, From: i.Node, To: to.ID, Stage: Copying, CountsOn: to.ID,
		MemoryMiB: i.MemoryMiB, DiskMiB: i.DiskMiB, NanoCPUs: i.NanoCPUs, Generation: i.Generation, CreatedAt: s.Now().UTC(),
	}
	if err := insert(ctx, tx, m); err != nil {
		return m, err
	}
	return m, s.tell(ctx, tx, j.Actor, "instance.move_ordered", i, m, nil)
}

// choose gives the node and the ports that it will have there.
func (s *Service) choose(ctx context.Context, tx *store.Tx, i instance.Instance, o Order) (node.Node, []allocation.Mapping, error) {
	if o.Node == i.Node {
		return node.Node{}, nil, problem.Invalid("node_id", "the instance is on this node already")
	}
	ports := o.ports(i)
	if err := allocation.Check(ports); err != nil {
		return node.Node{}, nil, err
	}
	left, err := leaving(ctx, tx, i.ID)
	if err != nil {
		return node.Node{}, nil, err
	}
	want := node.Want{MemoryMiB: i.MemoryMiB, DiskMiB: i.DiskMiB, NanoCPUs: i.NanoCPUs, On: o.Node}
	for _, l := range left {
		if l.From == o.Node {
			return node.Node{}, nil, problem.New(problem.Conflict, "what the instance left behind on that node is still being removed (job %s); try again when that is done", l.Job)
		}
		want.Exclude = append(want.Exclude, l.From)
	}
	if o.Node == "" {
		want.Exclude = append(want.Exclude, i.Node)
		want.Fits = func(ctx context.Context, tx *store.Tx, n node.Node) (bool, error) {
			fit, err := allocation.Fits(ctx, tx, n, ports)
			return fit.Short == 0 && (len(fit.Taken) == 0 || o.Reassign), err
		}
	}
	to, err := s.Nodes.Place(ctx, tx, want)
	if err != nil {
		return to, nil, err
	}
	ports, err = s.free(ctx, tx, to, ports, o.Reassign)
	return to, ports, err
}

// free gives the ports as they can be had on the node.
func (s *Service) free(ctx context.Context, tx *store.Tx, to node.Node, ports []allocation.Mapping, reassign bool) ([]allocation.Mapping, error) {
	fit, err := allocation.Fits(ctx, tx, to, ports)
	if err != nil || len(fit.Taken) == 0 {
		return ports, err // of a pool that is too small Claim says so
	}
	if reassign {
		return s.Ports.Reassign(ctx, tx, to, ports)
	}
	p := problem.New(problem.Conflict, "node %s has given away port %s; give others in ports, or reassign_ports: true to have free ones chosen", to.Name, numbers(fit.Taken))
	p.Fields = []problem.Field{{Field: "ports", Message: p.Message}}
	return nil, p
}

// Settled is instance.Moves: it refuses changes between the switch and the new
// node's word.
func (s *Service) Settled(ctx context.Context, q store.Querier, id ident.Instance) error {
	m, there, err := underWay(ctx, q, id)
	if err != nil || !there || m.Stage != Switched {
		return err // a copying one has a job that refuses for itself
	}
	return s.unsettled(ctx, q, m)
}

func (s *Service) unsettled(ctx context.Context, q store.Querier, m Move) error {
	return problem.New(problem.Conflict, "instance %s has just been moved to %s, which has not said yet that it is well there; try again when it has (job %s)",
		m.Instance, s.name(ctx, q, m.To), m.Job)
}

// Moves gives a page of what is under way and of what is being left, the newest
// first, and how many there are.
func (s *Service) Moves(ctx context.Context, limit, offset int) (moves []Move, total int, err error) {
	err = s.DB.Read(ctx, func(q store.Querier) error {
		moves, total, err = page(ctx, q, limit, offset)
		return err
	})
	return moves, total, err
}

// name is the node's, for sentences.
func (s *Service) name(ctx context.Context, q store.Querier, id ident.Node) string {
	n, err := s.Nodes.Find(ctx, q, id)
	if err != nil {
		return "node " + string(id)
	}
	return "node " + n.Name
}

// tell writes what happened to an instance's move.
func (s *Service) tell(ctx context.Context, tx *store.Tx, by access.Actor, t event.Type, i instance.Instance, m Move, data map[string]any) error {
	if data == nil {
		data = map[string]any{}
	}
	data["from"], data["to"], data["job"] = m.From, m.To, m.Job
	return s.Events.Append(ctx, tx, event.Event{Type: t, Owner: i.Owner, Instance: i.ID, Node: i.Node, Job: m.Job, Actor: by}, data)
}
