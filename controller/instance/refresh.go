package instance

import (
	"context"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// Refresh makes the instance what its image now says, without installing anything:
// an installation that changed comes with Reinstall. Values that the newer image
// would refuse stay as they are until somebody changes them.
func (s *Service) Refresh(ctx context.Context, c access.Caller, id ident.Instance) (o Changed, err error) {
	return s.edit(ctx, c, id, func(tx *store.Tx, i *Instance) error {
		if err := s.moves.Settled(ctx, tx, i.ID); err != nil {
			return err
		}
		return s.redescribe(ctx, tx, i, nil)
	})
}

// Changed is what became of a change of settings.
type Changed struct {
	Instance Instance
	Job      job.Job // the zero one when its node needs to do nothing
	Restart  RestartNeed
}

func (s *Service) handleRefresh(ctx context.Context, in *InstancePath) (InstanceJobView, error) {
	return changed(ctx)(s.Refresh(ctx, access.From(ctx), ident.Instance(in.ID)))
}

// changed shows what became of a change of settings.
func changed(ctx context.Context) func(Changed, error) (InstanceJobView, error) {
	return func(o Changed, err error) (InstanceJobView, error) {
		v, err := answer(ctx)(o.Instance, o.Job, err)
		v.Restart = o.Restart
		return v, err
	}
}
