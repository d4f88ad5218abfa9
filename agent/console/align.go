package console

import (
	"time"

	"github.com/berth-panel/berth/shared/wire"
)

const (
	// logSlack is how much later than the engine a line may have been stamped here:
	// the log is read from so long before the last recorded line.
	logSlack = 10 * time.Second
	// logSkew is how much earlier.
	logSkew = 2 * time.Second
	// evidence is how many lines are compared at most.
	evidence = 256
)

// recordedOf says how many of the log's lines are in the record already: those
// at the beginning, so many. recorded are the record's last lines of the same
// source, latest the time of the record's last line of any. Lines that are alike
// are told apart by their times.
func recordedOf(recorded, logged []entry, latest time.Time) int {
	if len(recorded) > 0 {
		last := recorded[len(recorded)-1].at
		best, off := 0, time.Duration(0)
		for n := 1; n <= len(logged); n++ {
			if !endsWith(recorded, logged[:n]) {
				continue
			}
			if d := logged[n-1].at.Sub(last).Abs(); best == 0 || d <= off {
				best, off = n, d
			}
		}
		if best > 0 {
			return best
		}
	}
	n := 0
	for n < len(logged) && !logged[n].at.After(latest) {
		n++
	}
	return n
}

// endsWith says whether both end alike, as far as the shorter one goes.
func endsWith(a, b []entry) bool {
	for i := 1; i <= min(len(a), len(b), evidence); i++ {
		x, y := a[len(a)-i], b[len(b)-i]
		if x.text != y.text || x.part != y.part {
			return false
		}
	}
	return true
}

// overlapTime is how far apart the engine and the agent may stamp a line that both
// have just read.
const overlapTime = logSlack

// overlapOf says how many of the lines that were heard are the last ones of the
// log. The first that was heard may be the end of a line.
func overlapOf(logged, heard []entry) int {
	for n := min(len(logged), len(heard)); n > 0; n-- {
		tail, same := logged[len(logged)-n:], true
		for i := 0; i < n && same; i++ {
			same = heard[i].at.Sub(tail[i].at).Abs() < overlapTime &&
				(heard[i].text == tail[i].text || i == 0 && isEnd(tail[i].text, heard[i].text))
		}
		if same {
			return n
		}
	}
	return 0
}

func isEnd(whole, end string) bool {
	return len(end) > 0 && len(end) < len(whole) && whole[len(whole)-len(end):] == end
}

// of gives the lines of one source.
func of(entries []entry, source wire.ConsoleSource) []entry {
	var some []entry
	for _, e := range entries {
		if e.source == source {
			some = append(some, e)
		}
	}
	return some
}

// without gives the lines but for the first so many of each source.
func without(entries []entry, skip map[wire.ConsoleSource]int) []entry {
	kept := make([]entry, 0, len(entries))
	left := map[wire.ConsoleSource]int{}
	for source, n := range skip {
		left[source] = n
	}
	for _, e := range entries {
		if left[e.source] > 0 {
			left[e.source]--
			continue
		}
		kept = append(kept, e)
	}
	return kept
}
