package instance

import (
	"context"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/allocation"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// KindMove is the job of an instance that is on its way to another node. It is
// done by the room of the moves; an agent's state does not end it by itself.
const KindMove job.Kind = "instance.move"

// Moves is how the room of the moves, which is made after this one, has a say in
// what concerns instances that move. All but Settled are called in the
// transaction of what they tell of.
type Moves interface {
	// Observed hears that the instance's node has said the converged state st of
	// the newest generation. dealt says that the instance's jobs have been ended,
	// or nudged, as they should be; else the living one is finished.
	Observed(ctx context.Context, tx *store.Tx, i Instance, st wire.State) (dealt bool, err error)
	// Elsewhere hears an event about an instance from a node that isn't (or is no
	// longer) the instance's. known says that there is a reason for it.
	Elsewhere(ctx context.Context, tx *store.Tx, node ident.Node, e wire.Event) (known bool, err error)
	// Condemned hears that the instance is being deleted, or is to be forgotten,
	// which it may refuse.
	Condemned(ctx context.Context, tx *store.Tx, i Instance, forgotten bool) error
	// Settled refuses changes of an instance that has just been moved, until its
	// new node has said that it is well there.
	Settled(ctx context.Context, q store.Querier, id ident.Instance) error
	// Reconciled hears what a node holds that has come back, and says which
	// instances of other nodes are there for a reason.
	Reconciled(ctx context.Context, tx *store.Tx, node ident.Node, inventory wire.Inventory) (known map[ident.Instance]bool, err error)
	// Evict has removed what a node holds of an instance that is another node's.
	Evict(ctx context.Context, tx *store.Tx, by access.Actor, on ident.Node, id ident.Instance, generation int64) (job.Job, error)
}

// Attach says who looks after the moves, before anything is called. Without it
// nothing moves.
func (s *Service) Attach(m Moves) { s.moves = m }

// unmoved stands for the room of the moves where there is none.
type unmoved struct{}

func (unmoved) Observed(context.Context, *store.Tx, Instance, wire.State) (bool, error) {
	return false, nil
}

func (unmoved) Elsewhere(context.Context, *store.Tx, ident.Node, wire.Event) (bool, error) {
	return false, nil
}
func (unmoved) Condemned(context.Context, *store.Tx, Instance, bool) error   { return nil }
func (unmoved) Settled(context.Context, store.Querier, ident.Instance) error { return nil }
func (unmoved) Reconciled(context.Context, *store.Tx, ident.Node, wire.Inventory) (map[ident.Instance]bool, error) {
	return nil, nil
}

func (unmoved) Evict(_ context.Context, _ *store.Tx, _ access.Actor, _ ident.Node, id ident.Instance, _ int64) (job.Job, error) {
	return job.Job{}, problem.New(problem.Conflict, "instance %s is another node's", id)
}

// Find gives an instance whoever's it is, also one that is being deleted.
func (s *Service) Find(ctx context.Context, q store.Querier, id ident.Instance) (Instance, error) {
	return byID(ctx, q, id)
}

// Entitled gives a living instance that the caller has the right to: NOT_FOUND
// when he may not see it, FORBIDDEN when he may.
func (s *Service) Entitled(ctx context.Context, q store.Querier, c access.Caller, id ident.Instance, right access.Right) (Instance, error) {
	return entitled(ctx, q, c, id, right)
}

// Movable gives an instance that the caller may see and that can move: it has
// been installed, and its node has a volume of it.
func (s *Service) Movable(ctx context.Context, q store.Querier, c access.Caller, id ident.Instance) (Instance, error) {
	i, err := living(ctx, q, c, id)
	switch {
	case err != nil:
		return i, err
	case i.Phase == Installing:
		return i, problem.New(problem.Conflict, "instance %s is being installed; wait until it is ready, then move it", i.ID)
	case i.Phase == Failed:
		return i, problem.New(problem.Conflict, "instance %s was never ready, so there is nothing to move; start it to try again, or delete it and deploy it elsewhere", i.ID)
	default:
		return i, nil
	}
}

// MovedSpec is what a node would be told of the instance with these ports and
// nothing else changed, when it is node to's. Copied has the node take over the volume that came.
func (s *Service) MovedSpec(ctx context.Context, q store.Querier, i Instance, to ident.Node, ports []allocation.Allocation, copied bool) (wire.Spec, error) {
	same := len(ports) == len(i.Spec.Ports)
	for n := 0; same && n < len(ports); n++ {
		before := i.Spec.Ports[n]
		same = before.Container == ports[n].ContainerPort && before.Primary == ports[n].Primary
	}
	img, err := image.ByID(ctx, q, i.Image)
	if err != nil {
		return wire.Spec{}, err
	}
	if !same || img.NamesNode() { // the container hears of its ports and its node in its environment
		host, err := s.Nodes.Find(ctx, q, to)
		if err != nil {
			return wire.Spec{}, err
		}
		if err := i.describe(img, ports, host); err != nil {
			return wire.Spec{}, err
		}
	}
	spec := i.Spec
	spec.Ports = make([]wire.Port, 0, len(ports))
	for _, p := range ports {
		spec.Ports = append(spec.Ports, wire.Port{IP: p.IP, Host: p.Port, Container: p.ContainerPort, Primary: p.Primary})
	}
	spec.Copied = copied
	return spec, nil
}

// Halt has the instance stopped for a move and its volume frozen, in tx, as its
// next generation; what its owner wants of its power stays as it is. One that is
// halted already is left alone.
func (s *Service) Halt(ctx context.Context, tx *store.Tx, i Instance) (Instance, error) {
	if i.Spec.Moving {
		return i, nil
	}
	i.stayDown()
	i.raise(s.Now().UTC())
	i.Spec.Moving = true
	return i, save(ctx, tx, i)
}

// stayDown orders a stop that its owner has not wished for.
func (i *Instance) stayDown() {
	if i.Spec.Power.Want != wire.WantStopped {
		i.Spec.Power = wire.Power{Want: wire.WantStopped, Order: i.Spec.Power.Order + 1}
	}
}

// Halted says whether the node has said that the instance, as it was told last,
// is down and stays so; a failure to get it down is the error.
func (i Instance) Halted() (bool, error) {
	if !i.Spec.Moving || i.Seen < i.Generation || !i.Observed.Converged {
		return false, nil
	}
	switch i.Observed.Actual {
	case wire.ActualStopped, wire.ActualCrashed:
		return true, nil
	default:
		why := "its node says it is " + string(i.Observed.Actual)
		if f := i.Observed.Failure; f != nil {
			why = f.Message
		}
		return false, problem.New(problem.Conflict, "the instance could not be stopped: %s", why)
	}
}

// Resume takes a Halt back, in tx, when no job is at work on the instance: it
// runs again if its owner wants that.
func (s *Service) Resume(ctx context.Context, tx *store.Tx, by access.Actor, id ident.Instance) error {
	i, err := byID(ctx, tx, id)
	if problem.Is(err, problem.NotFound) || err == nil && (i.Phase == Deleting || !i.Spec.Moving) {
		return nil
	}
	if err != nil {
		return err
	}
	i.powerAsWished()
	i.raise(s.Now().UTC())
	if err := save(ctx, tx, i); err != nil {
		return err
	}
	return s.Sync(ctx, tx, by, i)
}

// powerAsWished orders what the instance's owner wants of its power.
func (i *Instance) powerAsWished() {
	if i.Power == wire.WantRunning {
		i.order(Start)
	} else {
		i.order(Stop)
	}
}

// Relocate makes the instance another node's, in tx, as its next generation. What
// was seen of it was on the old node and is forgotten. The caller has made sure
// that the data is there, and that it runs nowhere. With copied it stays down and
// frozen until Settle; else it has the power that its owner wants.
func (s *Service) Relocate(ctx context.Context, tx *store.Tx, i Instance, to ident.Node, ports []allocation.Allocation, copied bool) (Instance, error) {
	spec, err := s.MovedSpec(ctx, tx, i, to, ports, copied)
	if err != nil {
		return i, err
	}
	i.Spec, i.Node, i.Phase = spec, to, Ready
	if copied {
		i.stayDown()
	} else {
		i.powerAsWished()
	}
	i.raise(s.Now().UTC())
	i.Spec.Moving = copied
	i.Actual, i.Container = wire.ActualStopped, ""
	i.Observed = wire.State{Phase: wire.PhaseReady, Actual: wire.ActualStopped}
	if err := save(ctx, tx, i); err != nil {
		return i, err
	}
	return i, relocate(ctx, tx, i.ID, to)
}

// Settle writes, in tx, that the volume that came is the instance's own: its next
// generation, which the caller has its node told, has the power that its owner
// wants.
func (s *Service) Settle(ctx context.Context, tx *store.Tx, i Instance) (Instance, error) {
	i.Spec.Copied = false
	i.powerAsWished()
	i.raise(s.Now().UTC())
	return i, save(ctx, tx, i)
}

// Fail writes, in tx, why the last order about the instance was not carried out.
func (s *Service) Fail(ctx context.Context, tx *store.Tx, i Instance, why *problem.Problem) error {
	i.Failure = why
	return save(ctx, tx, i)
}

// Sync has the instance's node told what should be, in tx.
func (s *Service) Sync(ctx context.Context, tx *store.Tx, by access.Actor, i Instance) error {
	_, err := s.enqueue(ctx, tx, by, i, KindSync)
	return err
}

// Occupants gives the ids of a node's instances, the oldest first, also of those
// being deleted.
func (s *Service) Occupants(ctx context.Context, q store.Querier, node ident.Node) ([]ident.Instance, error) {
	return idsOnNode(ctx, q, node)
}

// Mappings turns a body's ports into what allocation takes.
func Mappings(ports []InstancePortBody) ([]allocation.Mapping, error) { return mappings(ports) }
