package instance

import (
	"context"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// The kinds of jobs. Each tells the node the instance's newest generation and is
// ended by the event that says that it is carried out.
const (
	KindDeploy    job.Kind = "instance.deploy"
	KindStart              = job.Kind("instance." + Start)
	KindStop               = job.Kind("instance." + Stop)
	KindRestart            = job.Kind("instance." + Restart)
	KindKill               = job.Kind("instance." + Kill)
	KindSuspend   job.Kind = "instance.suspend"
	KindUnsuspend job.Kind = "instance.unsuspend"
	KindUpdate    job.Kind = "instance.update"
	KindReinstall job.Kind = "instance.reinstall"
	KindSync      job.Kind = "instance.sync" // the node had something else than it should
	KindDelete    job.Kind = "instance.delete"
)

const (
	deployDeadline = 6 * time.Hour // large images over thin lines; a node may be away
	orderDeadline  = 2 * time.Hour
	deleteDeadline = 10 * 365 * 24 * time.Hour // a delete must not be given up
	attempts       = 10
)

func (s *Service) register() {
	orders := job.Policy{Handler: s.push, Deadline: orderDeadline, Attempts: attempts, Failed: s.jobFailed, Cancelled: s.recall, Retry: s.retry}
	power := orders
	power.Right = access.PowerRight
	for _, k := range []job.Kind{KindStart, KindStop, KindRestart, KindKill} {
		s.Jobs.Register(k, power)
	}
	settled := orders
	settled.Cancelled = nil
	for _, k := range []job.Kind{KindSuspend, KindUnsuspend, KindUpdate, KindSync} {
		s.Jobs.Register(k, settled)
	}
	s.registerStrays(settled)
	s.registerConvert(settled)
	reinstall := settled
	reinstall.Deadline = deployDeadline
	s.Jobs.Register(KindReinstall, reinstall)
	deploy := orders
	deploy.Deadline, deploy.Cancelled = deployDeadline, s.hold
	s.Jobs.Register(KindDeploy, deploy)
	s.Jobs.Register(KindDelete, job.Policy{Handler: s.pushRemoval, Deadline: deleteDeadline, Attempts: 1 << 30, Retry: s.retryDelete})
}

func (s *Service) enqueue(ctx context.Context, tx *store.Tx, by access.Actor, i Instance, kind job.Kind) (job.Job, error) {
	return s.Jobs.Enqueue(ctx, tx, i.work(kind, by))
}

func (i Instance) work(kind job.Kind, by access.Actor) job.New {
	return job.New{Kind: kind, Instance: i.ID, Node: i.Node, Owner: i.Owner, Actor: by, Input: map[string]int64{"generation": i.Generation}}
}

// push tells the node what should be. The spec is read here and not kept in the
// job: whatever is newest is right.
func (s *Service) push(ctx context.Context, j job.Job) (job.Outcome, error) {
	i, err := byID(ctx, s.DB.Snapshot(), j.Instance)
	if err != nil {
		return job.Done, err
	}
	if err := mustLive(i); err != nil {
		return job.Done, err
	}
	_, err = s.Agents.Apply(ctx, i.Node, i.Spec)
	return job.Handed, err
}

func (s *Service) pushRemoval(ctx context.Context, j job.Job) (job.Outcome, error) {
	i, err := byID(ctx, s.DB.Snapshot(), j.Instance)
	if problem.Is(err, problem.NotFound) {
		return job.Done, nil
	}
	if err != nil {
		return job.Done, err
	}
	_, err = s.Agents.Remove(ctx, i.Node, i.ID, wire.Removal{Generation: i.Generation})
	return job.Handed, err
}

// jobFailed keeps the reason where the instance's owner looks for it.
func (s *Service) jobFailed(ctx context.Context, tx *store.Tx, j job.Job) error {
	i, err := byID(ctx, tx, j.Instance)
	if problem.Is(err, problem.NotFound) || (err == nil && i.Phase == Deleting) {
		return nil
	}
	if err != nil {
		return err
	}
	i.Failure, i.UpdatedAt = j.Failure, s.Now().UTC()
	if i.Phase == Installing {
		i.Phase = Failed
		if err := s.tell(ctx, tx, access.System(), "instance.failed", i, map[string]any{"reason": j.Failure.Message}); err != nil {
			return err
		}
	}
	return save(ctx, tx, i)
}

// recall takes a power order back: what should be is what is.
func (s *Service) recall(ctx context.Context, tx *store.Tx, j job.Job) error {
	return s.takeBack(ctx, tx, j, func(i *Instance) {
		if i.Actual == wire.ActualRunning || i.Actual == wire.ActualStarting {
			i.order(Start)
		} else {
			i.order(Stop)
		}
	})
}

// hold ends a deployment that was cancelled and leaves what it has done so far.
func (s *Service) hold(ctx context.Context, tx *store.Tx, j job.Job) error {
	return s.takeBack(ctx, tx, j, func(i *Instance) {
		i.order(Stop)
		i.Spec.Hold, i.Phase = true, Failed
	})
}

func (s *Service) takeBack(ctx context.Context, tx *store.Tx, j job.Job, edit func(*Instance)) error {
	i, err := byID(ctx, tx, j.Instance)
	if err != nil {
		return err
	}
	edit(&i)
	i.raise(s.Now().UTC())
	if i.Spec.Hold {
		i.Failure = problem.New(problem.Conflict, "the deployment was cancelled; start the instance to try again, or delete it")
	}
	if err := save(ctx, tx, i); err != nil {
		return err
	}
	_, err = s.Jobs.Enqueue(ctx, tx, i.work(KindSync, j.Actor))
	return err
}

// retry gives the order of a failed job again.
func (s *Service) retry(ctx context.Context, tx *store.Tx, j job.Job) (job.New, error) {
	i, err := byID(ctx, tx, j.Instance)
	if err != nil {
		return job.New{}, err
	}
	if err := mustLive(i); err != nil {
		return job.New{}, err
	}
	switch verb := Verb(j.Kind[len("instance."):]); verb {
	case Start, Stop, Restart, Kill:
		if i.Suspended {
			return job.New{}, problem.New(problem.Conflict, "instance %s is suspended; unsuspend it first", i.ID)
		}
		i.order(verb)
	default:
		if i.Power == wire.WantRunning || i.Spec.Hold { // held: cancelled, which took the order to run back
			i.order(Start)
		}
	}
	if i.Phase == Failed {
		i.Phase = Installing
	}
	i.raise(s.Now().UTC())
	return i.work(j.Kind, j.Actor), save(ctx, tx, i)
}

func (s *Service) retryDelete(ctx context.Context, tx *store.Tx, j job.Job) (job.New, error) {
	i, err := byID(ctx, tx, j.Instance)
	if err != nil {
		return job.New{}, err
	}
	return i.work(KindDelete, j.Actor), nil
}

// activeJob gives the living job that waits for a generation of the instance.
func activeJob(ctx context.Context, tx *store.Tx, id ident.Instance) (ident.Job, job.Kind, error) {
	j, there, err := job.Active(ctx, tx, id)
	if err != nil || !there {
		return "", "", err
	}
	return j.ID, j.Kind, nil
}
