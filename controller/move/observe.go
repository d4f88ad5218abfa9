package move

import (
	"context"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Observed is instance.Moves: the node of an instance has said how it is.
func (s *Service) Observed(ctx context.Context, tx *store.Tx, i instance.Instance, st wire.State) (dealt bool, err error) {
	m, there, err := underWay(ctx, tx, i.ID)
	switch {
	case err != nil || !there:
		return false, err
	case m.Stage == Copying:
		return true, s.Jobs.Nudge(ctx, tx, m.Job) // it may be down now
	case st.Phase == wire.PhaseReady:
		return true, s.settle(ctx, tx, m, i)
	case st.Phase == wire.PhaseFailed:
		why := "it gives no reason"
		if st.Failure != nil {
			why = st.Failure.Message
		}
		return true, s.giveBack(ctx, tx, m, i, problem.New(problem.Conflict, "%s could not take the instance over, which is back on %s: %s",
			s.name(ctx, tx, m.To), s.name(ctx, tx, m.From), why))
	default:
		return false, nil
	}
}

// settle makes the new node's copy the one that counts, in the transaction in
// which it says that it has it: the old one's goes away, and only now the instance
// may run again.
func (s *Service) settle(ctx context.Context, tx *store.Tx, m Move, i instance.Instance) (err error) {
	if i, err = s.Instances.Settle(ctx, tx, i); err != nil {
		return err
	}
	if err := s.Ports.ReleaseOn(ctx, tx, i.ID, m.From); err != nil {
		return err
	}
	if err := s.leave(ctx, tx, m, m.From, i.Generation); err != nil {
		return err
	}
	if err := s.tell(ctx, tx, access.System(), "instance.move_settled", i, m, nil); err != nil {
		return err
	}
	busy, there, err := job.Active(ctx, tx, i.ID)
	if err != nil {
		return err
	}
	if there && busy.ID == m.Job {
		return s.Jobs.Nudge(ctx, tx, m.Job) // it has the instance started
	}
	if there { // what superseded the move: the node has done it
		if err := s.Jobs.Finish(ctx, tx, busy.ID, nil); err != nil {
			return err
		}
	}
	return s.tellNode(ctx, tx, access.System(), i.ID)
}

// Elsewhere is instance.Moves: a node spoke of an instance that isn't its own.
func (s *Service) Elsewhere(ctx context.Context, tx *store.Tx, node ident.Node, e wire.Event) (known bool, err error) {
	left, there, err := leavingFrom(ctx, tx, e.Instance, node)
	if err != nil {
		return false, err
	}
	if there {
		if e.Type != wire.EventRemoved || left.Generation == 0 || e.Generation < left.Generation {
			return true, nil
		}
		if err := drop(ctx, tx, left.Job); err != nil {
			return true, err
		}
		return true, s.Jobs.Finish(ctx, tx, left.Job, nil)
	}
	m, there, err := underWay(ctx, tx, e.Instance)
	return there && (m.From == node || m.To == node), err
}

// Condemned is instance.Moves: the instance goes away, and so what it has on its
// old node. It isn't forgotten while that may be all that there is of it.
func (s *Service) Condemned(ctx context.Context, tx *store.Tx, i instance.Instance, forgotten bool) error {
	m, there, err := underWay(ctx, tx, i.ID)
	if err != nil || !there {
		return err
	}
	if m.Stage == Copying { // what kept it has ended without its knowing
		return s.abandon(ctx, tx, m)
	}
	if forgotten {
		return problem.New(problem.Conflict, "instance %s has just been moved to %s, which has not said yet that it is well there, and %s still has its data; "+
			"cancel job %s (if it has ended, try it again first) to have it back there, or delete it", i.ID, s.name(ctx, tx, m.To), s.name(ctx, tx, m.From), m.Job)
	}
	if err := s.Ports.ReleaseOn(ctx, tx, i.ID, m.From); err != nil {
		return err
	}
	if err := s.leave(ctx, tx, m, m.From, i.Generation); err != nil {
		return err
	}
	// The new node may not have taken it over yet.
	return s.dropIncoming(ctx, tx, i.ID, m.To)
}

// dropIncoming has a volume removed that came to a node and is nobody's.
func (s *Service) dropIncoming(ctx context.Context, tx *store.Tx, id ident.Instance, node ident.Node) error {
	j, err := s.Jobs.Enqueue(ctx, tx, eviction(id, node))
	if err != nil {
		return err
	}
	return insert(ctx, tx, Move{Job: j.ID, Instance: id, From: node, To: node, Stage: Leaving, CountsOn: node, CreatedAt: s.Now().UTC()})
}

// Reconciled is instance.Moves: a node has come back with all that it holds.
func (s *Service) Reconciled(ctx context.Context, tx *store.Tx, node ident.Node, inventory wire.Inventory) (map[ident.Instance]bool, error) {
	moves, err := about(ctx, tx, node)
	if err != nil {
		return nil, err
	}
	known, expected := map[ident.Instance]bool{}, map[ident.Instance]bool{}
	for _, m := range moves {
		if m.From == node {
			known[m.Instance] = true
		}
		expected[m.Instance] = expected[m.Instance] || m.Stage == Leaving || m.To == node
		if m.Stage != Leaving {
			err = s.Jobs.Nudge(ctx, tx, m.Job) // it may wait for this node
		} else {
			err = s.keepEvicting(ctx, tx, m)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, id := range inventory.Incoming {
		if expected[id] {
			continue
		}
		if err := s.dropIncoming(ctx, tx, id, node); err != nil {
			return nil, err
		}
		known[id] = true
	}
	return known, nil
}

// keepEvicting sees to it that a job removes what is left behind: the one that
// did may have failed.
func (s *Service) keepEvicting(ctx context.Context, tx *store.Tx, m Move) error {
	j, err := job.Find(ctx, tx, m.Job)
	if err != nil && !problem.Is(err, problem.NotFound) {
		return err
	}
	if err == nil && !j.State.Ended() {
		return nil
	}
	return s.leave(ctx, tx, m, m.From, m.Generation)
}
