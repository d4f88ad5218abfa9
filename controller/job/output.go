package job

import (
	"context"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// Output adds lines to the log of a living job, as far as it may still grow: what
// its work prints. A job that has ended is left alone.
func (s *Service) Output(ctx context.Context, tx *store.Tx, id ident.Job, lines []string) error {
	j, err := Find(ctx, tx, id)
	if err != nil || j.State.Ended() {
		return err
	}
	for _, line := range lines {
		if err := addStep(ctx, tx, id, s.now(), line); err != nil {
			return err
		}
	}
	tx.AfterCommit(func() { s.changed(id) })
	return nil
}
