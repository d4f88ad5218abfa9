package instance

import (
	"context"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// KindConvert is the job that has a volume held by its node's driver.
const KindConvert job.Kind = "instance.convert_volume"

func (s *Service) registerConvert(orders job.Policy) {
	orders.Deadline = deployDeadline // all of the data is copied
	s.Jobs.Register(KindConvert, orders)
}

func (s *Service) handleConvert(ctx context.Context, in *InstancePath) (InstanceJobView, error) {
	return answer(ctx)(s.Convert(ctx, access.From(ctx), ident.Instance(in.ID)))
}

// Convert has a plain directory become what the node's driver makes, so that the
// disk limit holds: at once when the instance is stopped, else before its next
// start. The job ends when the node has the order, or has carried it out; what
// stands in the way is told in the state of the disk. A volume whose limit holds
// already needs no job.
func (s *Service) Convert(ctx context.Context, c access.Caller, id ident.Instance) (i Instance, j job.Job, err error) {
	done := false
	err = s.DB.Read(ctx, func(q store.Querier) error {
		if i, err = entitled(ctx, q, c, id, access.EditInstance); err != nil {
			return err
		}
		disk := i.Observed.Disk
		done = disk != nil && disk.Hard
		return nil
	})
	if err != nil || done {
		return i, j, err
	}
	return s.order(ctx, c, id, access.EditInstance, KindConvert, "instance.convert_volume_ordered", func(tx *store.Tx, i *Instance) error {
		if err := s.moves.Settled(ctx, tx, i.ID); err != nil {
			return err
		}
		if disk := i.Observed.Disk; disk == nil {
			return problem.New(problem.Conflict, "nothing is known of the instance's disk yet; try again when its node is online")
		} else if !disk.Convert {
			return problem.New(problem.Conflict, "the instance's node holds volumes as plain directories only; see the node's volumes for the reason")
		}
		i.Spec.Convert = true
		return nil
	})
}
