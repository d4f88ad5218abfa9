package job

import (
	"context"

	"github.com/berth-panel/berth/shared/ident"
)

// Watch gives a channel that gets a value when the job changes (several changes
// may become one), and a function that ends the watching.
func (s *Service) Watch(id ident.Job) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers[id] == nil {
		s.watchers[id] = map[chan struct{}]struct{}{}
	}
	s.watchers[id][ch] = struct{}{}
	return ch, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers[id], ch)
		if len(s.watchers[id]) == 0 {
			delete(s.watchers, id)
		}
	}
}

// Await waits until the job has ended or ctx has, and gives it as it then is.
func (s *Service) Await(ctx context.Context, id ident.Job) (Job, error) {
	return s.AwaitThat(ctx, id, func(j Job) bool { return j.State.Ended() })
}

// AwaitThat waits until the job is as asked for, has ended, or ctx has, and gives
// it as it was seen last.
func (s *Service) AwaitThat(ctx context.Context, id ident.Job, that func(Job) bool) (Job, error) {
	changes, stop := s.Watch(id)
	defer stop()
	var last Job
	for {
		j, err := Find(ctx, s.db.Snapshot(), id)
		if err != nil && ctx.Err() != nil && last.ID != "" { // it ended while the job was read
			return last, ctx.Err()
		}
		if last = j; err != nil || j.State.Ended() || that(j) {
			return j, err
		}
		select {
		case <-changes:
		case <-ctx.Done():
			return j, ctx.Err()
		}
	}
}

func (s *Service) changed(id ident.Job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ch := range s.watchers[id] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}
