package move

import (
	"context"
	"time"

	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// doCopy makes the first pass, while the instance runs.
func (s *Service) doCopy(ctx context.Context, j job.Job) (job.Outcome, error) {
	m, i, err := s.present(ctx, j)
	if err != nil || m.Stage != Copying {
		return job.Done, err
	}
	return s.pass(ctx, j, m, i, "copy")
}

// pass makes one pass over the volume, or a slice of it.
func (s *Service) pass(ctx context.Context, j job.Job, m Move, i instance.Instance, step string) (job.Outcome, error) {
	if err := s.open(ctx, m, i); err != nil {
		return job.Done, err
	}
	limited, cancel := context.WithTimeout(ctx, slice)
	defer cancel()
	last := s.Now()
	err := s.Agents.Copy(limited, m.From, m.To, m.Instance, func(done, total int64) {
		if now := s.Now(); now.Sub(last) >= time.Second {
			last = now
			if err := s.say(limited, j, step, percent(done, total), "%s of %s copied", size(done), size(total)); err != nil && limited.Err() == nil {
				s.Log.Warn("write down how far a copy is", "job", j.ID, "error", err)
			}
		}
	})
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return job.Again, nil // the slice is over; what has arrived stays
	}
	return job.Done, err
}

func percent(done, total int64) int {
	if total <= 0 {
		return -1
	}
	return int(min(100, done*100/total))
}

// open announces the volume to the new node, which may have forgotten it.
func (s *Service) open(ctx context.Context, m Move, i instance.Instance) error {
	var spec wire.Spec
	err := s.DB.Read(ctx, func(q store.Querier) error {
		ports, err := s.Ports.HeldOn(ctx, q, m.Instance, m.To)
		if err != nil {
			return err
		}
		spec, err = s.Instances.MovedSpec(ctx, q, i, m.To, ports, true)
		return err
	})
	if err != nil {
		return err
	}
	spec.Generation = i.Generation + 1
	state, err := s.Agents.OpenIncoming(ctx, m.To, wire.Incoming{Instance: m.Instance, Spec: spec})
	if err != nil {
		return err
	}
	return s.imageAt(ctx, m, state)
}

// imageAt refuses a node that can't have the image.
func (s *Service) imageAt(ctx context.Context, m Move, state wire.IncomingState) error {
	if state.Image != wire.ImageFailed {
		return nil
	}
	why := "it gives no reason"
	if state.Failure != nil {
		why = state.Failure.Message
	}
	return problem.New(problem.Conflict, "%s can't get the instance's image: %s", s.name(ctx, s.DB.Snapshot(), m.To), why)
}
