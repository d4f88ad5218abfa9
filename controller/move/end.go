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

// cancelled takes a move back, at whatever step it is.
func (s *Service) cancelled(ctx context.Context, tx *store.Tx, j job.Job) error {
	return s.takeBack(ctx, tx, j, problem.New(problem.Conflict, "the move was cancelled"))
}

// failed takes a move back that can't go on.
func (s *Service) failed(ctx context.Context, tx *store.Tx, j job.Job) error {
	return s.takeBack(ctx, tx, j, j.Failure)
}

func (s *Service) takeBack(ctx context.Context, tx *store.Tx, j job.Job, why *problem.Problem) error {
	m, there, err := byJob(ctx, tx, j.ID)
	if err != nil {
		return err
	}
	if !there { // it was never reserved, as another try that failed at once, or it is settled
		if err := s.Instances.Resume(ctx, tx, j.Actor, j.Instance); err != nil {
			return err
		}
		return s.tellNode(ctx, tx, j.Actor, j.Instance)
	}
	i, err := s.Instances.Find(ctx, tx, m.Instance)
	if err != nil {
		return err
	}
	if m.Stage == Switched {
		return s.giveBack(ctx, tx, m, i, why)
	}
	if err := s.abandon(ctx, tx, m); err != nil {
		return err
	}
	if err := s.tell(ctx, tx, j.Actor, "instance.move_given_up", i, m, map[string]any{"reason": why.Message}); err != nil {
		return err
	}
	return s.Instances.Resume(ctx, tx, j.Actor, m.Instance)
}

// superseded frees what was reserved; whoever supersedes says what becomes of the
// instance. A switched one stays where it is: that job tells the new node.
func (s *Service) superseded(ctx context.Context, tx *store.Tx, j job.Job) error {
	m, there, err := byJob(ctx, tx, j.ID)
	if err != nil || !there || m.Stage != Copying {
		return err
	}
	return s.abandon(ctx, tx, m)
}

// abandon frees what was reserved on the new node, and has removed what has come
// there.
func (s *Service) abandon(ctx context.Context, tx *store.Tx, m Move) error {
	if err := s.Ports.ReleaseOn(ctx, tx, m.Instance, m.To); err != nil {
		return err
	}
	return s.leave(ctx, tx, m, m.To, 0)
}

// giveBack makes the instance the old node's again, in tx: nothing has written to
// the new one's copy, which was told to stay down.
func (s *Service) giveBack(ctx context.Context, tx *store.Tx, m Move, i instance.Instance, why *problem.Problem) error {
	ports, err := s.Ports.HeldOn(ctx, tx, i.ID, m.From)
	if err != nil {
		return err
	}
	if i, err = s.Instances.Relocate(ctx, tx, i, m.From, ports, false); err != nil {
		return err
	}
	if err := s.Instances.Fail(ctx, tx, i, why); err != nil {
		return err
	}
	if err := s.Ports.ReleaseOn(ctx, tx, i.ID, m.To); err != nil {
		return err
	}
	if err := s.leave(ctx, tx, m, m.To, i.Generation); err != nil {
		return err
	}
	s.Log.Warn("a moved instance goes back to its old node", "instance", i.ID, "from", m.To, "to", m.From, "reason", why.Message)
	if err := s.tell(ctx, tx, access.System(), "instance.move_undone", i, m, map[string]any{"reason": why.Message}); err != nil {
		return err
	}
	busy, there, err := job.Active(ctx, tx, i.ID)
	if err != nil {
		return err
	}
	if there {
		if err := s.Jobs.Finish(ctx, tx, busy.ID, why); err != nil {
			return err
		}
	}
	return s.tellNode(ctx, tx, access.System(), i.ID)
}

// tellNode has an instance's node told what should be, in tx, unless that is under
// way or done.
func (s *Service) tellNode(ctx context.Context, tx *store.Tx, by access.Actor, id ident.Instance) error {
	i, err := s.Instances.Find(ctx, tx, id)
	if problem.Is(err, problem.NotFound) {
		return nil
	}
	if err != nil || i.Phase == instance.Deleting || i.Seen >= i.Generation {
		return err
	}
	if _, busy, err := job.Active(ctx, tx, id); err != nil || busy {
		return err
	}
	return s.Instances.Sync(ctx, tx, by, i)
}

// leave has removed what the move has, or had, on a node. A generation of 0 says
// that no instance was ever there, only what was copied.
func (s *Service) leave(ctx context.Context, tx *store.Tx, m Move, node ident.Node, generation int64) error {
	j, err := s.Jobs.Enqueue(ctx, tx, eviction(m.Instance, node))
	if err != nil {
		return err
	}
	old := m.Job
	m.Job, m.From, m.To, m.Stage, m.CountsOn = j.ID, node, node, Leaving, node
	m.MemoryMiB, m.NanoCPUs, m.Generation = 0, 0, generation
	return save(ctx, tx, old, m)
}

// Evict is instance.Moves: what a node holds of another node's instance goes away.
func (s *Service) Evict(ctx context.Context, tx *store.Tx, by access.Actor, on ident.Node, id ident.Instance, generation int64) (job.Job, error) {
	left, there, err := leavingFrom(ctx, tx, id, on)
	if err != nil {
		return job.Job{}, err
	}
	if there {
		return job.Job{}, problem.New(problem.ResourceBusy, "%s is rid of instance %s soon: job %s removes it", s.name(ctx, tx, on), id, left.Job)
	}
	n := eviction(id, on)
	n.Actor = by
	j, err := s.Jobs.Enqueue(ctx, tx, n)
	if err != nil {
		return j, err
	}
	return j, insert(ctx, tx, Move{Job: j.ID, Instance: id, From: on, To: on, Stage: Leaving, CountsOn: on, Generation: generation, CreatedAt: s.Now().UTC()})
}

// eviction has no Instance: it goes on beside the instance's own jobs, and longer
// than the instance.
func eviction(id ident.Instance, node ident.Node) job.New {
	return job.New{Kind: KindEvict, Node: node, Actor: access.System(), Input: map[string]any{"instance": id}}
}

// evict removes what an instance left behind on a node.
func (s *Service) evict(ctx context.Context, j job.Job) (job.Outcome, error) {
	m, there, err := byJob(ctx, s.DB.Snapshot(), j.ID)
	if err != nil || !there {
		return job.Done, err
	}
	if err := s.Agents.DropIncoming(ctx, m.From, m.Instance); err != nil && !problem.Is(err, problem.NotFound) {
		return job.Done, err
	}
	if m.Generation == 0 {
		return job.Done, s.DB.Write(ctx, func(tx *store.Tx) error { return drop(ctx, tx, j.ID) })
	}
	accepted, err := s.Agents.Remove(ctx, m.From, m.Instance, wire.Removal{Generation: m.Generation})
	if err != nil {
		return job.Done, err
	}
	if accepted.Generation > m.Generation {
		s.Log.Warn("a node knows a newer order about an instance that has left it; it is left alone there", "node", m.From, "instance", m.Instance,
			"its", accepted.Generation, "ours", m.Generation)
		return job.Done, s.DB.Write(ctx, func(tx *store.Tx) error { return drop(ctx, tx, j.ID) })
	}
	return job.Handed, nil
}

// leftThere forgets what is on a node that never comes back.
func (s *Service) leftThere(ctx context.Context, tx *store.Tx, j job.Job) error {
	return drop(ctx, tx, j.ID)
}
