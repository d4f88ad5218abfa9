package event

import (
	"context"
	"log/slog"
	"time"

	"github.com/berth-panel/berth/controller/store"
)

const (
	purgeEvery = time.Hour
	purgeBatch = 1000                  // facts deleted in one transaction
	purgePause = 20 * time.Millisecond // between two: others want to write too
)

// Run deletes facts that are older than keep, until ctx ends; a keep of 0 keeps
// them for ever. Numbers are never given out again.
func (l *Log) Run(ctx context.Context, db *store.DB, keep time.Duration, log *slog.Logger) {
	if keep <= 0 {
		return
	}
	for {
		pause := purgeEvery
		deleted, err := l.purgeBatch(ctx, db, l.now().Add(-keep))
		switch {
		case err != nil && ctx.Err() == nil:
			log.Error("delete old events", "error", err)
		case deleted == purgeBatch:
			pause = purgePause
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

func (l *Log) purgeBatch(ctx context.Context, db *store.DB, before time.Time) (deleted int64, err error) {
	err = db.WriteBehind(ctx, func(tx *store.Tx) error {
		deleted, err = purge(ctx, tx, before, purgeBatch)
		return err
	})
	return deleted, err
}
