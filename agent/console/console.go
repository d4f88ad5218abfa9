package console

import (
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// recentSize is how many bytes of lines are kept in memory while somebody reads,
// or while the disk doesn't take them.
const recentSize = 512 << 10

// console is one instance's.
type console struct {
	room *Room
	id   ident.Instance
	dir  string
	log  *slog.Logger

	turn    sync.Mutex // one Begin or Resume at a time
	session *session   // changed behind turn and mu

	typing  chan struct{}      // holds one while a command is written
	typedTo runtime.Attachment // behind typing: where commands went last,
	rest    []byte             // and what it did not take of a line

	mu       sync.Mutex
	record   *record // nil until it is needed
	removed  bool
	recent   []*chunk // the newest lines, without gap up to the last
	weight   int      // bytes in it
	tail     string
	tails    int64 // counts changes of tail
	readers  map[*reader]struct{}
	watchers map[*watcher]struct{}
	failing  bool // the disk refused the last lines
	meter    meter
}

type watcher struct {
	since time.Time
	line  func(string)
}

// open reads the record when nobody has; the caller holds mu.
func (c *console) open() error {
	if c.removed {
		return errRemoved
	}
	if c.record != nil {
		return nil
	}
	r, err := openRecord(c.dir, c.room.boot)
	if err != nil {
		c.complain(err)
		return err
	}
	r.wanted, r.behind = c.wanted, c.room.Behind
	c.record = r
	return nil
}

// wanted is the oldest line that a reader gets next; the caller holds mu.
func (c *console) wanted() int64 {
	oldest := c.record.next
	for r := range c.readers {
		oldest = min(oldest, r.wants)
	}
	return oldest
}

var errRemoved = errors.New("the console was removed")

// complain says once that the disk fails.
func (c *console) complain(err error) {
	if !c.failing {
		c.failing = true
		c.log.Error("the console's record can't be kept", "error", err)
	}
}

// add records lines and shows them.
func (c *console) add(entries []entry) {
	if len(entries) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.open(); err != nil {
		return
	}
	first := c.record.next
	if err := c.record.append(entries); err != nil {
		c.complain(err)
	} else if c.failing {
		c.failing = false
		c.log.Info("the console's record is kept again")
	}
	c.meter.count(c.room.Now(), len(entries))
	if len(c.readers) > 0 || c.failing {
		c.remember(first, entries)
	}
	c.tellWatchers(entries)
	if c.tail != "" {
		// A line takes a tail's place wherever it is shown. A printed one has ended it;
		// after another it is shown again.
		if printed(entries[len(entries)-1].source) {
			c.tail = ""
		} else {
			c.tails++
		}
	}
	c.wake()
}

// remember keeps lines in memory.
func (c *console) remember(first int64, entries []entry) {
	lines := make([]wire.ConsoleLineFrame, 0, len(entries))
	for i, e := range entries {
		lines = append(lines, wire.ConsoleLineFrame{Seq: first + int64(i), At: e.at, Source: e.source, Text: e.text, Part: e.part})
	}
	for _, next := range chunks(lines) {
		c.recent = append(c.recent, next)
		c.weight += next.size + chunkCost*len(next.lines)
	}
	drop := 0
	for c.weight > recentSize && drop < len(c.recent)-1 {
		c.weight -= c.recent[drop].size + chunkCost*len(c.recent[drop].lines)
		drop++
	}
	if drop > 0 {
		c.recent = append([]*chunk(nil), c.recent[drop:]...)
	}
}

// chunkCost is what a line costs beside its text.
const chunkCost = 160

func (c *console) tellWatchers(entries []entry) {
	for w := range c.watchers {
		for _, e := range entries {
			if printed(e.source) && !e.at.Before(w.since) {
				w.line(e.text)
			}
		}
	}
}

func printed(s wire.ConsoleSource) bool { return s == wire.ConsoleOut || s == wire.ConsoleErr }

// setTail shows what has no end yet.
func (c *console) setTail(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tail == text {
		return
	}
	c.tail = text
	c.tails++
	c.wake()
}

// wake tells the readers that there is something; the caller holds mu.
func (c *console) wake() {
	for r := range c.readers {
		r.ring()
	}
}

// Watch calls line for each line since a moment.
func (k *Room) Watch(id ident.Instance, since time.Time, line func(text string)) (stop func()) {
	c := k.of(id)
	w := &watcher{since: since, line: line}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open() == nil {
		for _, e := range c.past(c.around(since)) {
			if printed(e.source) && !e.at.Before(since) {
				line(e.text)
			}
		}
	}
	if c.watchers == nil {
		c.watchers = map[*watcher]struct{}{}
	}
	c.watchers[w] = struct{}{}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watchers, w)
	}
}

// past reads the record from a number on; the caller holds mu. What can't be read
// is left out.
func (c *console) past(from int64) []entry {
	var entries []entry
	for seq := max(c.record.first(), from); seq < c.record.next; {
		segment, behind, ok := c.record.holder(seq)
		if !ok {
			break
		}
		at, err := seek(c.dir, segment, seq)
		if err == nil {
			var lines []wire.ConsoleLineFrame
			lines, _, err = readLines(c.dir, at, behind-1, segmentSize)
			for _, l := range lines {
				entries = append(entries, entry{at: l.At, source: l.Source, text: l.Text, part: l.Part})
			}
		}
		if err != nil {
			c.log.Warn("a part of the console's record can't be read", "error", err)
		}
		seq = behind
	}
	return entries
}

// around gives the number of a line before a moment and not long before, if lines
// are in the order of their times; the caller holds mu.
func (c *console) around(since time.Time) int64 {
	for i := len(c.record.segments) - 1; i > 0; i-- {
		first := c.record.segments[i].first
		lines, _, err := readLines(c.dir, place{segment: first, offset: int64(len(segmentMagic)), seq: first}, first, 1)
		if err == nil && len(lines) > 0 && lines[0].At.Before(since) {
			return first
		}
	}
	return 0
}

// last gives the numbers of the record.
func (c *console) last() (record string, first, last int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.open(); err != nil {
		return "", 0, 0, err
	}
	return c.record.about.Record, c.record.first(), c.record.next - 1, nil
}

// admit adds a reader.
func (c *console) admit(r *reader) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.open(); errors.Is(err, errRemoved) {
		return problem.New(problem.NotFound, "this node has no instance %s", c.id)
	} else if err != nil {
		return problem.New(problem.Internal, "the console's record can't be read: the node's disk may be full").Because(err)
	}
	if len(c.readers) >= c.room.PerInstance {
		return problem.New(problem.RateLimited, "this instance has %d open consoles, and takes no more", len(c.readers))
	}
	if c.readers == nil {
		c.readers = map[*reader]struct{}{}
	}
	c.readers[r] = struct{}{}
	return nil
}

// part removes a reader; without any, nothing is kept in memory.
func (c *console) part(r *reader) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.readers, r)
	if len(c.readers) == 0 && !c.failing {
		c.recent, c.weight = nil, 0
	}
	if c.record != nil {
		c.record.drop() // what was kept for the reader
	}
}

// dismiss ends all readers.
func (c *console) dismiss(why string) {
	c.mu.Lock()
	readers := make([]*reader, 0, len(c.readers))
	for r := range c.readers {
		readers = append(readers, r)
	}
	c.mu.Unlock()
	for _, r := range readers {
		r.end(why)
	}
}

// remove forgets the record.
func (c *console) remove() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removed = true
	if c.record != nil {
		c.record.letGo()
		c.record = nil
	}
	c.recent, c.weight, c.tail = nil, 0, ""
	if err := os.RemoveAll(c.dir); err != nil {
		c.log.Warn("the console's record can't be removed", "error", err)
	}
}

func (c *console) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.record == nil {
		return nil
	}
	return c.record.close()
}

// meter counts lines a second.
type meter struct {
	began time.Time
	lines int
	rate  float64
	total int64 // since the agent began
}

const meterWindow = 250 * time.Millisecond

func (m *meter) count(now time.Time, lines int) {
	if d := now.Sub(m.began); d > meterWindow {
		m.rate = float64(m.lines) / d.Seconds()
		m.began, m.lines = now, 0
	}
	m.lines += lines
	m.total += int64(lines)
}

// perSecond is the rate of the last window.
func (m *meter) perSecond(now time.Time) float64 {
	d := now.Sub(m.began)
	if d > 2*meterWindow {
		return 0
	}
	return max(m.rate, float64(m.lines)/meterWindow.Seconds())
}
