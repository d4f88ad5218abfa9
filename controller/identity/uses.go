package identity

import (
	"context"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

const (
	flushInterval = 30 * time.Second
	flushTimeout  = 5 * time.Second
)

// uses remembers when keys were used since it was written down last.
type uses struct {
	mu sync.Mutex
	at map[ident.Key]int64 // milliseconds
}

func (u *uses) note(k ident.Key, at int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.at[k] = at
}

// take empties it.
func (u *uses) take() map[ident.Key]int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	taken := u.at
	u.at = map[ident.Key]int64{}
	return taken
}

// Run writes down when keys were used, every half minute and once more when ctx
// ends. It returns then.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			s.flush(ctx)
			return
		case <-tick.C:
			s.flush(ctx)
		}
	}
}

// flush loses what it can't write: it is no more than a hint to people.
func (s *Service) flush(ctx context.Context) {
	used := s.uses.take()
	if len(used) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := s.db.WriteBehind(ctx, func(tx *store.Tx) error { return touchKeys(ctx, tx, used) }); err != nil {
		s.log.Warn("when API keys were used couldn't be written", "keys", len(used), "error", err.Error())
	}
}
