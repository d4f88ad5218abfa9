package live

import "time"

// Hurry makes seconds hundredths of one, but for what would cut a slow test.
func Hurry(s *Service) {
	s.pace.figures, s.pace.recheck, s.pace.beat = 20*time.Millisecond, 20*time.Millisecond, 100*time.Millisecond
}

// Calm is the usual pace, for a crowd: its pages would ask each other's time away.
func Calm(s *Service) { s.pace = usualPace() }

// Impatient cuts who takes nothing for so long.
func Impatient(s *Service, stuck time.Duration) { s.pace.stuck = stuck }

// Pages and Sources count what is open.
func Pages(s *Service) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pages)
}

func Sources(s *Service) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sources)
}

// BehindMost is how many facts a page catches up with.
const BehindMost = behindMost
