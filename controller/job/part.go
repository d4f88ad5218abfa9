package job

import (
	"slices"

	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// Part is how far one part of a job's step is, such as a layer of an image.
type Part struct {
	Name       string
	State      string
	DoneBytes  int64
	TotalBytes int64
}

// Parts says what the job's step is made of now; none takes it back. Call it with
// each Progress, before it. It is kept in memory alone: several times a second it
// is another, and after a restart the next progress says it again.
func (s *Service) Parts(tx *store.Tx, id ident.Job, parts []Part) {
	parts = slices.Clone(parts)
	tx.AfterCommit(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(parts) == 0 {
			delete(s.parts, id)
			return
		}
		s.parts[id] = parts
	})
}

// partsOf are a living job's parts.
func (s *Service) partsOf(j Job) []Part {
	if j.State.Ended() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.parts[j.ID])
}
