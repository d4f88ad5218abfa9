package move

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// The kinds of jobs beside instance.KindMove.
const (
	KindEvict job.Kind = "instance.evict" // removes what an instance left behind on a node
	KindDrain job.Kind = "node.drain"     // moves everything off a node
)

const (
	moveDeadline  = 24 * time.Hour
	evictDeadline = 10 * 365 * 24 * time.Hour // what is left behind must not be forgotten
	drainDeadline = 7 * 24 * time.Hour
	attempts      = 10
	slice         = 10 * time.Minute // of copying in one call of a handler: a pass lists the whole volume first
	maxPasses     = 3                // over a volume that is down, until its copy must be the same
	toldEvery     = 15 * time.Second
)

func (s *Service) register() {
	s.Jobs.Register(instance.KindMove, job.Policy{
		Tasks: []job.Task{
			{Name: "reserve", Do: s.doReserve}, {Name: "copy", Do: s.doCopy}, {Name: "stop", Do: s.doStop}, {Name: "finish", Do: s.doFinish},
			{Name: "verify", Do: s.doVerify}, {Name: "switch", Do: s.doSwitch}, {Name: "settle", Do: s.doSettle},
			{Name: "start", Do: s.doStart},
		},
		Deadline: moveDeadline, Attempts: attempts, Limit: slice + 30*time.Second, Alone: true,
		Failed: s.failed, Cancelled: s.cancelled, Superseded: s.superseded, Retry: s.retry,
	})
	s.Jobs.Register(KindEvict, job.Policy{Handler: s.evict, Deadline: evictDeadline, Attempts: 1 << 30, Cancelled: s.leftThere})
	s.Jobs.Register(KindDrain, job.Policy{Handler: s.drain, Deadline: drainDeadline, Attempts: attempts, Cancelled: s.drainCancelled, Retry: s.retryDrain})
}

// errEnded is what a task of a move that has ended meanwhile returns; nobody
// looks at it.
var errEnded = errors.New("the move has ended")

// mine gives what the job works on, as tx sees it: nothing may be written for a
// job that was cancelled or superseded while its handler was under way.
func mine(ctx context.Context, tx *store.Tx, j job.Job) (Move, error) {
	alive, there, err := job.Active(ctx, tx, j.Instance)
	if err != nil {
		return Move{}, err
	}
	if !there || alive.ID != j.ID {
		return Move{}, errEnded
	}
	m, there, err := byJob(ctx, tx, j.ID)
	if err == nil && !there {
		return m, problem.New(problem.Conflict, "nothing is kept for this move any more; move the instance again")
	}
	return m, err
}

// memory is what a move's job keeps between calls.
type memory struct {
	Told    int64     `json:"told,omitempty"` // the generation that a node was told last
	ToldAt  time.Time `json:"told_at,omitzero"`
	Passes  int       `json:"passes,omitempty"`  // over the volume, once it was down
	Copying bool      `json:"copying,omitempty"` // another pass is under way
}

func recall(j job.Job) (memory, error) {
	var m memory
	if len(j.Memory) == 0 {
		return m, nil
	}
	return m, json.Unmarshal(j.Memory, &m)
}

func (s *Service) remember(ctx context.Context, j job.Job, m memory) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error { return s.Jobs.Remember(ctx, tx, j.ID, m) })
}

func (s *Service) say(ctx context.Context, j job.Job, step string, percent int, format string, args ...any) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		return s.Jobs.Progress(ctx, tx, j.ID, step, percent, fmt.Sprintf(format, args...))
	})
}

// doReserve does what the order did already, unless this is another try of a move
// that had failed.
func (s *Service) doReserve(ctx context.Context, j job.Job) (job.Outcome, error) {
	return job.Done, s.DB.Write(ctx, func(tx *store.Tx) error {
		if _, there, err := byJob(ctx, tx, j.ID); err != nil || there {
			return err
		}
		if alive, there, err := job.Active(ctx, tx, j.Instance); err != nil || !there || alive.ID != j.ID {
			return errors.Join(err, errEnded)
		}
		last, there, err := underWay(ctx, tx, j.Instance)
		if err != nil {
			return err
		}
		if there { // it was switched already: this goes on with it
			old := last.Job
			last.Job = j.ID
			return save(ctx, tx, old, last)
		}
		i, err := s.Instances.Movable(ctx, tx, access.Local(), j.Instance)
		if err != nil {
			return err
		}
		var o Order
		if err := json.Unmarshal(j.Input, &o); err != nil {
			return err
		}
		_, err = s.reserve(ctx, tx, i, j, o)
		return err
	})
}

// present gives the move and its instance as they are now.
func (s *Service) present(ctx context.Context, j job.Job) (m Move, i instance.Instance, err error) {
	m, i, there, err := s.look(ctx, j)
	if err == nil && !there {
		err = problem.New(problem.Conflict, "nothing is kept for this move any more; move the instance again")
	}
	return m, i, err
}

// look is present where it may have been settled meanwhile: there says that it
// was not.
func (s *Service) look(ctx context.Context, j job.Job) (m Move, i instance.Instance, there bool, err error) {
	err = s.DB.Read(ctx, func(q store.Querier) error {
		if m, there, err = byJob(ctx, q, j.ID); err != nil || !there {
			return err
		}
		i, err = s.Instances.Find(ctx, q, j.Instance)
		return err
	})
	return m, i, there, err
}

// doStop has the old node stop the instance and waits until it has said so.
func (s *Service) doStop(ctx context.Context, j job.Job) (job.Outcome, error) {
	mem, err := recall(j)
	if err != nil {
		return job.Done, err
	}
	var m Move
	var i instance.Instance
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if m, err = mine(ctx, tx, j); err != nil || m.Stage != Copying {
			return err
		}
		if i, err = s.Instances.Find(ctx, tx, j.Instance); err != nil {
			return err
		}
		if i, err = s.Instances.Halt(ctx, tx, i); err != nil {
			return err
		}
		if m.Generation == i.Generation {
			return nil
		}
		m.Generation = i.Generation
		return save(ctx, tx, j.ID, m)
	})
	if err != nil || m.Stage != Copying {
		return job.Done, err
	}
	if halted, err := i.Halted(); err != nil || halted {
		return job.Done, err
	}
	now := s.Now()
	if mem.Told == i.Generation && now.Sub(mem.ToldAt) < toldEvery {
		return job.Again, nil
	}
	accepted, err := s.Agents.Apply(ctx, m.From, i.Spec)
	if err != nil {
		return job.Done, err
	}
	if accepted.Generation > i.Generation {
		return job.Done, newer(s.name(ctx, s.DB.Snapshot(), m.From))
	}
	mem.Told, mem.ToldAt = i.Generation, now
	return job.Again, s.remember(ctx, j, mem)
}

func newer(node string) error {
	return problem.New(problem.Conflict, "%s knows a newer order about this instance than this controller: its database is older than the node's; nothing was moved", node)
}

// doFinish makes the pass over what has changed since the first.
func (s *Service) doFinish(ctx context.Context, j job.Job) (job.Outcome, error) {
	m, i, err := s.present(ctx, j)
	if err != nil || m.Stage != Copying {
		return job.Done, err
	}
	return s.pass(ctx, j, m, i, "finish")
}

// doVerify compares the digests of both sides and waits for the image.
func (s *Service) doVerify(ctx context.Context, j job.Job) (job.Outcome, error) {
	m, i, err := s.present(ctx, j)
	if err != nil || m.Stage != Copying {
		return job.Done, err
	}
	mem, err := recall(j)
	if err != nil {
		return job.Done, err
	}
	if mem.Copying {
		outcome, err := s.pass(ctx, j, m, i, "verify")
		if err != nil || outcome != job.Done {
			return outcome, err
		}
		mem.Copying = false
		return job.Again, s.remember(ctx, j, mem)
	}
	here, err := s.Agents.VolumeDigest(ctx, m.From, m.Instance, false)
	if err != nil {
		return job.Done, err
	}
	there, err := s.Agents.VolumeDigest(ctx, m.To, m.Instance, true)
	if err != nil {
		return job.Done, err
	}
	switch {
	case !here.Done || !there.Done:
		return job.Again, s.say(ctx, j, "verify", min(here.Percent, there.Percent), "Comparing the copy with the volume")
	case here.Sum == there.Sum && here.Sum != "":
		return s.awaitImage(ctx, j, m)
	case mem.Passes+1 >= maxPasses:
		return job.Done, problem.New(problem.Conflict, "the copy differs from the volume after %d passes, though the instance is down: something else writes to it, or a disk is failing", maxPasses)
	default:
		mem.Passes, mem.Copying = mem.Passes+1, true
		return job.Again, s.remember(ctx, j, mem)
	}
}

func (s *Service) awaitImage(ctx context.Context, j job.Job, m Move) (job.Outcome, error) {
	state, err := s.Agents.Incoming(ctx, m.To, m.Instance)
	if err != nil {
		return job.Done, err
	}
	if err := s.imageAt(ctx, m, state); err != nil || state.Image == wire.ImageReady {
		return job.Done, err
	}
	return job.Again, s.say(ctx, j, "verify", -1, "Waiting for the image on the new node")
}

// doSwitch makes the instance the new node's, in one transaction.
func (s *Service) doSwitch(ctx context.Context, j job.Job) (job.Outcome, error) {
	return job.Done, s.DB.Write(ctx, func(tx *store.Tx) error {
		m, err := mine(ctx, tx, j)
		if err != nil || m.Stage != Copying {
			return err
		}
		i, err := s.Instances.Find(ctx, tx, j.Instance)
		if err != nil {
			return err
		}
		if halted, err := i.Halted(); err != nil || !halted || i.Generation != m.Generation {
			return errors.Join(err, problem.New(problem.Conflict, "the instance is not down any more; move it again"))
		}
		ports, err := s.Ports.HeldOn(ctx, tx, i.ID, m.To)
		if err != nil {
			return err
		}
		if i, err = s.Instances.Relocate(ctx, tx, i, m.To, ports, true); err != nil {
			return err
		}
		m.Stage, m.CountsOn, m.Generation = Switched, m.From, i.Generation
		if err := save(ctx, tx, j.ID, m); err != nil {
			return err
		}
		return s.tell(ctx, tx, j.Actor, "instance.moved", i, m, nil)
	})
}

// doSettle has the new node take the volume over; its word (see settle) lets the
// job go on.
func (s *Service) doSettle(ctx context.Context, j job.Job) (job.Outcome, error) {
	m, i, there, err := s.look(ctx, j)
	if err != nil || !there || m.Stage != Switched { // not there: it is settled
		return job.Done, err
	}
	return job.Handed, s.order(ctx, i)
}

// doStart has the instance run on its new node, if its owner wants that. Whether
// it does has nothing to do with the move.
func (s *Service) doStart(ctx context.Context, j job.Job) (job.Outcome, error) {
	mem, err := recall(j)
	if err != nil {
		return job.Done, err
	}
	i, err := s.Instances.Find(ctx, s.DB.Snapshot(), j.Instance)
	if err != nil || i.Seen >= i.Generation && i.Observed.Converged {
		return job.Done, err
	}
	now := s.Now()
	if mem.Told == i.Generation && now.Sub(mem.ToldAt) < toldEvery {
		return job.Again, nil
	}
	if err := s.order(ctx, i); err != nil {
		return job.Done, err
	}
	mem.Told, mem.ToldAt = i.Generation, now
	return job.Again, s.remember(ctx, j, mem)
}

// order tells an instance's node what should be.
func (s *Service) order(ctx context.Context, i instance.Instance) error {
	accepted, err := s.Agents.Apply(ctx, i.Node, i.Spec)
	if err == nil && accepted.Generation > i.Generation {
		err = newer(s.name(ctx, s.DB.Snapshot(), i.Node))
	}
	return err
}

// retry tries a move again that has failed or was cancelled, as it was ordered.
func (s *Service) retry(ctx context.Context, tx *store.Tx, j job.Job) (job.New, error) {
	var o Order
	if err := json.Unmarshal(j.Input, &o); err != nil {
		return job.New{}, err
	}
	i, err := s.Instances.Find(ctx, tx, j.Instance)
	if err != nil {
		return job.New{}, err
	}
	if _, there, err := underWay(ctx, tx, i.ID); err != nil || there {
		return work(i, j.Actor, o), err // it goes on with what was switched
	}
	if i, err = s.Instances.Movable(ctx, tx, access.Local(), i.ID); err != nil {
		return job.New{}, err
	}
	return work(i, j.Actor, o), nil
}

var _ instance.Moves = (*Service)(nil)
