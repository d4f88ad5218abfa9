package instance

import (
	"context"
	"log/slog"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Agents is what we ask of the nodes' agents.
type Agents interface {
	Apply(ctx context.Context, node ident.Node, spec wire.Spec) (wire.Accepted, error)
	Remove(ctx context.Context, node ident.Node, instance ident.Instance, r wire.Removal) (wire.Accepted, error)
	// Spec gives what the node was told of an instance; NOT_FOUND when it has no
	// settings of it.
	Spec(ctx context.Context, node ident.Node, instance ident.Instance) (wire.Spec, error)
}

// Nodes finds nodes, and room on them.
type Nodes interface {
	Find(ctx context.Context, q store.Querier, id ident.Node) (node.Node, error)
	Place(ctx context.Context, tx *store.Tx, w node.Want) (node.Node, error)
	Grow(ctx context.Context, q store.Querier, id ident.Node, held, wanted node.Amount) error
}

// Ports gives and takes a node's allocations.
type Ports interface {
	Claim(ctx context.Context, tx *store.Tx, r allocation.ClaimRequest) ([]allocation.Allocation, error)
	Replace(ctx context.Context, tx *store.Tx, r allocation.ClaimRequest) ([]allocation.Allocation, error)
	ReleaseAll(ctx context.Context, tx *store.Tx, instance ident.Instance) error
	// Reserve keeps the ports that a stray uses from others, until Unreserve.
	Reserve(ctx context.Context, tx *store.Tx, node ident.Node, stray ident.Instance, ports []wire.Port) error
	Unreserve(ctx context.Context, tx *store.Tx, node ident.Node, stray ident.Instance) error
}

// Jobs is what we need of the durable work.
type Jobs interface {
	Register(kind job.Kind, p job.Policy)
	Enqueue(ctx context.Context, tx *store.Tx, n job.New) (job.Job, error)
	Supersede(ctx context.Context, tx *store.Tx, instance ident.Instance, why string) error
	Bequeath(ctx context.Context, tx *store.Tx, instance ident.Instance, owner ident.User) error
	Finish(ctx context.Context, tx *store.Tx, id ident.Job, failed *problem.Problem) error
	Progress(ctx context.Context, tx *store.Tx, id ident.Job, step string, percent int, message string) error
	Output(ctx context.Context, tx *store.Tx, id ident.Job, lines []string) error
	Parts(tx *store.Tx, id ident.Job, parts []job.Part)
	Wake(ctx context.Context, tx *store.Tx, node ident.Node) error
}

// Deps are the rooms that instances stand on.
type Deps struct {
	DB     *store.DB
	Events *event.Log
	Jobs   Jobs
	Agents Agents
	Nodes  Nodes
	Ports  Ports
	Log    *slog.Logger
	Now    func() time.Time
}

// Service is the verbs of instances. Safe for concurrent use.
type Service struct {
	Deps
	pages   pages
	moves   Moves
	sharing Sharing
}

// Sharing is who else may use an instance (controller/subuser).
type Sharing interface {
	// OwnerChanged hears that the instance is another's now, in the transaction that
	// gives it to him.
	OwnerChanged(ctx context.Context, tx *store.Tx, by access.Actor, i Instance) error
}

// AttachSharing says who looks after the subusers, before anything is called.
// Without it nothing is shared.
func (s *Service) AttachSharing(sharing Sharing) { s.sharing = sharing }

// unshare ends what the old owner shared.
func (s *Service) unshare(ctx context.Context, tx *store.Tx, by access.Actor, i Instance) error {
	if s.sharing == nil {
		return nil
	}
	return s.sharing.OwnerChanged(ctx, tx, by, i)
}

// NewService makes the service and registers its kinds of jobs.
func NewService(d Deps) *Service {
	s := &Service{Deps: d, moves: unmoved{}}
	s.register()
	return s
}

// Get gives an instance that the caller may see, also one that is being deleted.
func (s *Service) Get(ctx context.Context, c access.Caller, id ident.Instance) (Instance, error) {
	return visible(ctx, s.DB.Snapshot(), c, id)
}

func visible(ctx context.Context, q store.Querier, c access.Caller, id ident.Instance) (Instance, error) {
	i, err := byID(ctx, q, id)
	if err == nil && !c.SeesInstance(i.Of()) {
		return Instance{}, notFound()
	}
	return i, err
}

// living is visible without what is being deleted.
func living(ctx context.Context, q store.Querier, c access.Caller, id ident.Instance) (Instance, error) {
	i, err := visible(ctx, q, c, id)
	if err == nil && i.Phase == Deleting {
		return Instance{}, notFound()
	}
	return i, err
}

// List gives the instances that the caller may see and that match, and how many
// match in all. A Limit of 0 gives all of them, without counting apart.
func (s *Service) List(ctx context.Context, c access.Caller, f Filter) (items []Listed, total int, err error) {
	reach := c.Reach(access.ReadInstances)
	err = s.DB.Read(ctx, func(q store.Querier) error {
		if items, err = list(ctx, q, reach, f); err != nil || f.Limit == 0 {
			total = len(items)
			return err
		}
		total, err = count(ctx, q, reach, f)
		return err
	})
	return items, total, err
}

// UsingImage counts the instances made from an image.
func (s *Service) UsingImage(ctx context.Context, q store.Querier, id ident.Image) (int, error) {
	return count(ctx, q, access.Everything(), Filter{Image: id, Deleting: true})
}

// CountOf counts a user's instances, also those being deleted.
func (s *Service) CountOf(ctx context.Context, q store.Querier, owner ident.User) (int, error) {
	return count(ctx, q, access.Everything(), Filter{Owner: owner, Deleting: true})
}

// IDsByOwner gives the ids of everybody's instances, the oldest first, without
// those that are being deleted.
func (s *Service) IDsByOwner(ctx context.Context, q store.Querier) (map[ident.User][]ident.Instance, error) {
	return idsByOwner(ctx, q)
}

// entitled is living for what takes a right: FORBIDDEN tells who sees the
// instance that he may not do more.
func entitled(ctx context.Context, q store.Querier, c access.Caller, id ident.Instance, right access.Right) (Instance, error) {
	i, err := living(ctx, q, c, id)
	if err == nil && !c.May(right, i.Of()) {
		return Instance{}, problem.New(problem.Forbidden, "you lack the right %s for instance %s: ask its owner for it", right, id)
	}
	return i, err
}

// managing is nil for who may deploy, suspend, move and delete instances.
func managing(c access.Caller) error {
	if !c.Can(access.WriteInstances) {
		return problem.New(problem.Forbidden, "this needs the permission %s, and a key of the scope %s", access.WriteInstances, access.WriteInstances.Scope())
	}
	return nil
}

// tell writes what happened to the instance.
func (s *Service) tell(ctx context.Context, tx *store.Tx, by access.Actor, t event.Type, i Instance, data any) error {
	return s.Events.Append(ctx, tx, event.Event{Type: t, Owner: i.Owner, Instance: i.ID, Node: i.Node, Actor: by}, data)
}
