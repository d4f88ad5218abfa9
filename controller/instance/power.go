package instance

import (
	"context"
	"unicode/utf8"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Power gives a power order. A suspended instance refuses it; a busy one too,
// but for Kill.
func (s *Service) Power(ctx context.Context, c access.Caller, id ident.Instance, v Verb) (Instance, job.Job, error) {
	return s.order(ctx, c, id, access.PowerRight, job.Kind("instance."+v), event.Type("instance."+v+"_ordered"), func(tx *store.Tx, i *Instance) error {
		if i.Suspended {
			return problem.New(problem.Conflict, "instance %s is suspended%s; unsuspend it first", i.ID, because(i.SuspendReason))
		}
		if v == Kill {
			if err := s.Jobs.Supersede(ctx, tx, id, "a kill was ordered"); err != nil {
				return err
			}
		}
		i.order(v)
		return nil
	})
}

// Suspend stops the instance and takes its power away. One that is suspended
// already stays so, with the new reason; the job is then the zero one.
func (s *Service) Suspend(ctx context.Context, c access.Caller, id ident.Instance, reason string) (i Instance, j job.Job, err error) {
	if utf8.RuneCountInString(reason) > 1000 {
		return i, j, problem.Invalid("reason", "at most 1000 characters")
	}
	if err := managing(c); err != nil {
		return i, j, err
	}
	if i, err = s.repeat(ctx, c, id, true, reason); err != nil || i.ID != "" {
		return i, j, err
	}
	return s.order(ctx, c, id, access.EditInstance, KindSuspend, "instance.suspended", func(tx *store.Tx, i *Instance) error {
		i.Suspended, i.SuspendReason = true, reason
		return s.Jobs.Supersede(ctx, tx, id, "the instance was suspended")
	})
}

// Unsuspend gives the power back and starts the instance when it ran before.
func (s *Service) Unsuspend(ctx context.Context, c access.Caller, id ident.Instance) (i Instance, j job.Job, err error) {
	if err := managing(c); err != nil {
		return i, j, err
	}
	if i, err = s.repeat(ctx, c, id, false, ""); err != nil || i.ID != "" {
		return i, j, err
	}
	return s.order(ctx, c, id, access.EditInstance, KindUnsuspend, "instance.unsuspended", func(tx *store.Tx, i *Instance) error {
		i.Suspended, i.SuspendReason = false, ""
		if i.Power == wire.WantRunning {
			i.order(Start)
		}
		return s.Jobs.Supersede(ctx, tx, id, "the instance was unsuspended")
	})
}

// repeat answers a suspension that is as it should be already; the zero
// instance says that there is something to do.
func (s *Service) repeat(ctx context.Context, c access.Caller, id ident.Instance, suspended bool, reason string) (out Instance, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		i, err := living(ctx, tx, c, id)
		if err != nil || i.Suspended != suspended {
			return err
		}
		out = i
		if reason == "" || reason == i.SuspendReason {
			return nil
		}
		i.SuspendReason = reason
		out = i
		return save(ctx, tx, i)
	})
	return out, err
}

// order is the one way of a verb: find, edit, next generation, job, event. Settings
// go another, see edit.
func (s *Service) order(ctx context.Context, c access.Caller, id ident.Instance, right access.Right, kind job.Kind, fact event.Type,
	edit func(tx *store.Tx, i *Instance) error) (i Instance, j job.Job, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if i, err = entitled(ctx, tx, c, id, right); err != nil {
			return err
		}
		if err = edit(tx, &i); err != nil {
			return err
		}
		i.raise(s.Now().UTC())
		if err = save(ctx, tx, i); err != nil {
			return err
		}
		if j, err = s.enqueue(ctx, tx, c.Actor, i, kind); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, c.Actor, fact, i, map[string]any{"job": j.ID, "reason": i.SuspendReason}); err != nil {
			return err
		}
		return keep(ctx, tx, i, j)
	})
	return i, j, err
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}
