package instance

import (
	"context"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Delete orders that container and volume go away at once. The row, and with it
// the ports and the capacity, goes when the node says that they are gone. A
// second delete gives the job of the first.
func (s *Service) Delete(ctx context.Context, c access.Caller, id ident.Instance) (i Instance, j job.Job, err error) {
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if i, err = visible(ctx, tx, c, id); err != nil {
			return err
		}
		if i.Phase == Deleting {
			if active, there, err := job.Active(ctx, tx, id); err != nil || there {
				j = active
				return err
			}
		}
		i, j, err = s.condemn(ctx, tx, c.Actor, i)
		return err
	})
	return i, j, err
}

// condemn starts the deletion of an instance, whatever else goes on with it.
func (s *Service) condemn(ctx context.Context, tx *store.Tx, by access.Actor, i Instance) (Instance, job.Job, error) {
	if err := s.Jobs.Supersede(ctx, tx, i.ID, "the instance is being deleted"); err != nil {
		return i, job.Job{}, err
	}
	if err := s.moves.Condemned(ctx, tx, i, false); err != nil {
		return i, job.Job{}, err
	}
	i.Phase, i.Power = Deleting, wire.WantStopped
	i.raise(s.Now().UTC())
	if err := save(ctx, tx, i); err != nil {
		return i, job.Job{}, err
	}
	j, err := s.enqueue(ctx, tx, by, i, KindDelete)
	if err != nil {
		return i, j, err
	}
	return i, j, s.tell(ctx, tx, by, "instance.delete_ordered", i, map[string]any{"job": j.ID, "name": i.Name})
}

// Forget drops an instance whose node will never answer again: its container
// and volume stay there, if there is still a there.
func (s *Service) Forget(ctx context.Context, c access.Caller, id ident.Instance) error {
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		i, err := visible(ctx, tx, c, id)
		if err != nil {
			return err
		}
		if err := s.Jobs.Supersede(ctx, tx, id, "the instance was forgotten"); err != nil {
			return err
		}
		if err := s.moves.Condemned(ctx, tx, i, true); err != nil {
			return err
		}
		return s.gone(ctx, tx, c.Actor, i, true)
	})
}

// gone drops the row and frees what it held.
func (s *Service) gone(ctx context.Context, tx *store.Tx, by access.Actor, i Instance, forgotten bool) error {
	if err := s.Ports.ReleaseAll(ctx, tx, i.ID); err != nil {
		return err
	}
	if err := drop(ctx, tx, i.ID); err != nil {
		return err
	}
	return s.tell(ctx, tx, by, "instance.deleted", i, map[string]any{"name": i.Name, "forgotten": forgotten})
}

// DeleteAll orders the deletion of all of a user's instances, in tx. Until each
// is gone it belongs to heir.
func (s *Service) DeleteAll(ctx context.Context, tx *store.Tx, owner, heir ident.User, by access.Actor) error {
	ids, err := idsOf(ctx, tx, owner)
	if err != nil {
		return err
	}
	for _, id := range ids {
		i, err := byID(ctx, tx, id)
		if err != nil {
			return err
		}
		if i.Phase != Deleting {
			if i, _, err = s.condemn(ctx, tx, by, i); err != nil {
				return err
			}
		}
		if err := s.bequeath(ctx, tx, &i, heir, by); err != nil {
			return err
		}
	}
	return nil
}

// mustLive refuses what is being deleted.
func mustLive(i Instance) error {
	if i.Phase == Deleting {
		return problem.New(problem.NotFound, "instance %s is being deleted", i.ID)
	}
	return nil
}
