package console

import (
	"time"

	"github.com/berth-panel/berth/shared/ident"
)

// Quick has the service wait less where a test has to.
func Quick(s *Service) {
	s.pace = pace{ping: 20 * time.Millisecond, dead: time.Minute, stuck: time.Minute, retry: 20 * time.Millisecond, reply: time.Minute}
}

// Hasty has the service take a node for silent at once.
func Hasty(s *Service) { s.pace.reply = 200 * time.Millisecond }

// Watched says how many instances are watched, and how many bytes are kept.
func Watched(s *Service) (feeds int, kept int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.feeds), s.kept.Load()
}

// Pending is how many inputs of an instance have not been answered.
func Pending(s *Service, id ident.Instance) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.feeds[id]
	if f == nil {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.pending)
}

// Sparing has the service keep little for who is behind, and wait for him.
func Sparing(s *Service) { s.behind, s.pace.stuck, s.pace.dead = 3<<20, time.Hour, time.Hour }
