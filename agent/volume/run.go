package volume

import (
	"context"
	"path/filepath"
	"time"

	"github.com/berth-panel/berth/shared/wire"
)

const (
	tend     = time.Minute    // how often what is due is looked for
	trimDue  = 24 * time.Hour // how often the volumes give back what they have free
	trimSoon = 10 * time.Second
)

// Run looks after the volumes until ctx ends: it counts what plain directories
// hold, gives back the room of what was deleted, and lets the pool grow. All of
// it is done one at a time and not in a hurry. Call it once, with Options.Now.
func (s *Store) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	trimmed := s.now() // volumes that were used before are trimmed a day from here
	for {
		var removed bool
		select {
		case <-ctx.Done():
			return
		case <-s.due:
			removed = true
			if pause(ctx, trimSoon) != nil { // several are often removed together
				return
			}
		case <-timer.C:
		}
		s.look(ctx)
		all := s.now().Sub(trimmed) >= trimDue
		if all {
			trimmed = s.now()
		}
		if removed || all {
			s.giveBack(ctx, all)
		}
		timer.Reset(tend)
	}
}

// look counts what is due and lets the pool grow.
func (s *Store) look(ctx context.Context) {
	var plain []place
	if err := s.each(func(p place) {
		if p.Driver == wire.VolumeDirectory {
			plain = append(plain, p)
		}
	}); err != nil {
		s.log.Warn("the volumes can't be listed", "error", err)
	}
	for _, p := range plain {
		if ctx.Err() != nil {
			return
		}
		s.recount(ctx, p.id)
	}
	if err := s.growPool(ctx); err != nil && ctx.Err() == nil {
		s.log.Warn("the pool of volumes can't grow", "error", err)
	}
}

// giveBack returns free room to what lies below: of each volume, when all is
// due, and then of the pool.
func (s *Store) giveBack(ctx context.Context, all bool) {
	var list []place
	if all {
		_ = s.each(func(p place) { list = append(list, p) })
	}
	for _, p := range list {
		if ctx.Err() != nil {
			return
		}
		if d, err := s.driverOf(p.layout); err == nil {
			if err := d.trim(p); err != nil {
				s.log.Debug("a volume can't give room back", "instance", string(p.id), "error", err)
			}
		}
	}
	point := filepath.Join(s.dir, poolPoint)
	if s.pooled && crossing(point, filepath.Dir(point)) {
		if err := trim(point); err != nil {
			s.log.Debug("the pool can't give room back", "error", err)
		}
	}
}

// wake says that something was removed.
func (s *Store) wake() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}
