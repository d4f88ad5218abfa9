package console

import (
	"fmt"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/wire"
)

// printedAt makes lines of one source, a tenth of a second apart.
func printedAt(texts ...string) []entry {
	var list []entry
	for i, text := range texts {
		list = append(list, entry{at: time.Unix(1000, int64(i)*1e8), source: wire.ConsoleOut, text: text})
	}
	return list
}

// later is the same lines as somebody else stamped them.
func later(list []entry, by time.Duration) []entry {
	moved := append([]entry(nil), list...)
	for i := range moved {
		moved[i].at = moved[i].at.Add(by)
	}
	return moved
}

// Wherever the record ends and the log begins, each line is taken once: different
// ones, and those that are alike but for their time.
func TestRecordedOf(t *testing.T) {
	t.Parallel()
	var different, alike, period []string
	for i := range 40 {
		different = append(different, fmt.Sprint("line ", i))
		alike = append(alike, "tick")
		period = append(period, []string{"a", "b", "a", "c"}[i%4])
	}
	for name, texts := range map[string][]string{"different": different, "alike": alike, "in a period": period} {
		printed := printedAt(texts...)
		for _, late := range []time.Duration{-40 * time.Millisecond, 0, 3 * time.Millisecond, 40 * time.Millisecond} {
			for ends := 1; ends <= len(printed); ends++ {
				for begins := range len(printed) {
					if begins >= ends && name != "different" {
						continue // a log that was rotated away so far: nothing tells
					}
					recorded := later(printed[:ends], late)
					got := recordedOf(recorded, printed[begins:], recorded[ends-1].at)
					if want := max(0, ends-begins); got != want {
						t.Fatalf("%s, %s late: the record ends with %d, the log begins with %d: %d are known, want %d", name, late, ends-1, begins, got, want)
					}
				}
			}
		}
	}
	if got := recordedOf(nil, printedAt("x", "y"), time.Unix(1000, 5e7)); got != 1 {
		t.Errorf("without lines of the source, the time decides: %d", got)
	}
}

func TestOverlapOf(t *testing.T) {
	t.Parallel()
	log := printedAt("one", "two", "three", "four")
	for want, heard := range map[int][]entry{
		0: later(printedAt("five", "six"), time.Second),
		1: log[3:],
		2: append(append([]entry(nil), log[2:]...), printedAt("five")...),
		4: log,
	} {
		if got := overlapOf(log, heard); got != want {
			t.Errorf("%d were heard twice, want %d", got, want)
		}
	}
	half := append([]entry(nil), log[2:]...)
	half[0].text = "ree" // it was attached in the middle of the line
	if got := overlapOf(log, half); got != 2 {
		t.Errorf("with half a line %d were heard twice", got)
	}
	if got := overlapOf(log, later(log, time.Minute)); got != 0 {
		t.Errorf("the same lines a minute later are %d of them", got)
	}
}

// What was heard from the middle of a line on waits for the log to have the whole
// of it.
func TestLinesHeardBeforeTheyAreLogged(t *testing.T) {
	logged := printedAt("one", "two", "three", "four")
	heard := later(append([]entry{{at: logged[2].at, source: wire.ConsoleOut, text: "ree"}}, logged[3]), 5*time.Millisecond)
	behind := &catching{held: logged[:2]}
	if behind.join(heard, false) {
		t.Error("the end of a line was taken for one that nobody logs")
	}
	k := &catching{held: logged}
	skip := overlapOf(k.held, heard)
	if skip != 2 {
		t.Errorf("%d of what was heard are in the log, want 2", skip)
	}
}
