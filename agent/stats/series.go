package stats

import "slices"

// level is one resolution of a history.
type level struct {
	step  uint32 // seconds
	slots uint32
}

// The levels. The first is kept in memory, the others in a file.
var (
	seconds = level{1, 600}
	tens    = level{10, 6 * 360}
	minutes = level{60, 7 * 24 * 60}
)

// inFile are the levels of a file, in its order.
var inFile = [2]level{tens, minutes}

func (l level) begin(at uint32) uint32 { return at - at%l.step }

func (l level) slot(at uint32) uint32 { return at / l.step % l.slots }

// span is how far back the level goes, in seconds.
func (l level) span() uint32 { return l.step * l.slots }

// pendingMost bounds what waits to be written while the disk takes nothing.
const pendingMost = 64

// series is the history of one instance, or of the node, as far as it is in
// memory. Not safe for concurrent use.
type series struct {
	ring    []point // of seconds; made by the first point
	open    [2]bucket
	closed  [2]uint32  // the begin of the newest that was finished at its end
	pending [2][]point // finished, and not in the file yet
}

// add takes a sample at a second, whose rates are over so many seconds.
func (s *series) add(p point, over float64) {
	if s.ring == nil {
		s.ring = make([]point, seconds.slots)
	}
	s.ring[seconds.slot(p.at)] = p
	for i, l := range inFile {
		begin := l.begin(p.at)
		if s.closed[i] == begin {
			continue // another sample in its last second
		}
		b := &s.open[i]
		if b.at != begin {
			s.finish(i)
			b.at = begin
		}
		b.add(p, over)
		if p.at == begin+l.step-1 {
			s.finish(i)
			s.closed[i] = begin
		}
	}
}

// finish makes a point of what a level holds so far.
func (s *series) finish(i int) {
	if b := &s.open[i]; b.weight > 0 {
		s.pending[i] = append(s.pending[i], b.point())
		if over := len(s.pending[i]) - pendingMost; over > 0 {
			s.pending[i] = slices.Delete(s.pending[i], 0, over)
		}
	}
	s.open[i] = bucket{}
}

// end finishes all levels: no more samples come for a while.
func (s *series) end() {
	for i := range s.open {
		s.finish(i)
	}
}

// written says whether nothing waits.
func (s *series) written() bool { return len(s.pending[0])+len(s.pending[1]) == 0 }

// take gives what is to be written, and forgets it.
func (s *series) take() [2][]point {
	out := s.pending
	s.pending = [2][]point{}
	return out
}

// putBack is take undone.
func (s *series) putBack(points [2][]point) {
	for i := range points {
		s.pending[i] = append(points[i], s.pending[i]...)
		if over := len(s.pending[i]) - pendingMost; over > 0 {
			s.pending[i] = slices.Delete(s.pending[i], 0, over)
		}
	}
}

// recent gives the seconds from since to now, oldest first.
func (s *series) recent(since, now uint32) []point {
	return ordered(s.ring, seconds, since, now)
}

// ordered gives the points of a level from since to now, oldest first and each
// time once: the last one of a time wins.
func ordered(points []point, l level, since, now uint32) []point {
	if now >= l.span() {
		since = max(since, l.begin(now)-l.span()+l.step)
	}
	out := make([]point, 0, len(points))
	for _, p := range points {
		if p.at != 0 && p.at >= since && p.at <= now {
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b point) int { return int(int64(a.at) - int64(b.at)) })
	kept := out[:0]
	for i, p := range out {
		if i+1 == len(out) || out[i+1].at != p.at {
			kept = append(kept, p)
		}
	}
	return kept
}
