package job

import (
	"context"
	"time"

	"github.com/berth-panel/berth/shared/ident"
)

// Work is Run without the restart of what was alive before.
func (s *Service) Work(ctx context.Context) error { return s.dispatch(ctx) }

// Hint puts a job into the queue as due, whether or not it is.
func (s *Service) Hint(id ident.Job) {
	s.push(hint{id: id, at: time.Time{}})
	s.poke()
}
