package instance

import (
	"context"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// ReinstallBody says what becomes of the data.
type ReinstallBody struct {
	Wipe bool `json:"wipe,omitempty" doc:"Throw all of the instance's data away first. Without it the installation is put over the data that is there"`
}

type reinstallInput struct {
	InstancePath
	Body *ReinstallBody
}

func (s *Service) handleReinstall(ctx context.Context, in *reinstallInput) (InstanceJobView, error) {
	wipe := in.Body != nil && in.Body.Wipe
	return answer(ctx)(s.Reinstall(ctx, access.From(ctx), ident.Instance(in.ID), wipe))
}

// Reinstall stops the instance, installs it again as its image now says, and
// starts it if it ran; wipe throws its volume away first. The number of the order
// is that of its generation: a database that was restored gives none twice.
//
// The job is not taken back when it is cancelled: what is thrown away is gone. A
// retry goes on with the order that failed.
func (s *Service) Reinstall(ctx context.Context, c access.Caller, id ident.Instance, wipe bool) (Instance, job.Job, error) {
	return s.order(ctx, c, id, access.EditInstance, KindReinstall, "instance.reinstall_ordered", func(tx *store.Tx, i *Instance) error {
		if i.Suspended {
			return problem.New(problem.Conflict, "instance %s is suspended%s; unsuspend it first", i.ID, because(i.SuspendReason))
		}
		if err := s.moves.Settled(ctx, tx, i.ID); err != nil {
			return err
		}
		if err := s.redescribe(ctx, tx, i, nil); err != nil {
			return err
		}
		i.powerAsWished()
		i.Phase = Installing
		if order := i.Generation + 1; wipe {
			i.Spec.Wipe, i.Spec.Installed = order, false
		} else {
			i.Spec.Reinstall = order
		}
		return nil
	})
}
