package console

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	batchLines = 2000
	batchBytes = 256 << 10
)

// From is where a view begins. The zero value is the newest lines.
type From struct {
	Resume bool   // After counts
	After  int64  // the last line that the reader has
	Record string // the record that After is of; "" the present one
	Most   int64  // of the newest lines, at the beginning; 0 is wire.ConsoleBacklog
}

// Batch is what is new to a view. Its parts are told in the order of the fields.
type Batch struct {
	Record string // began now; "" is the same
	State  *State
	Missed *wire.ConsoleMissed
	Lines  []Line
	Tail   *string
}

func (b Batch) empty() bool {
	return b.Record == "" && b.State == nil && b.Missed == nil && b.Lines == nil && b.Tail == nil
}

// View is one reader of a console. Use Next from one goroutine; Close ends it.
type View struct {
	feed   *feed
	from   From
	cursor atomic.Int64 // it has the lines up to here
	epoch  int          // of the feed's record; 0 before it is known
	fresh  bool         // it begins with what there is: that older lines are gone is no news
	states int
	tails  int
	past   *past // older lines than the feed has
	lags   bool  // it reads those because it was slow
	once   sync.Once
}

// Open begins to read an instance's console, which it never fails to do: a node
// that is away is told as a State. That the reader may is the caller's to see to.
func (s *Service) Open(ctx context.Context, id ident.Instance, from From) *View {
	if from.Most <= 0 {
		from.Most = wire.ConsoleBacklog
	}
	v := &View{from: from}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.feeds[id]
	if f == nil {
		f = newFeed(s, id)
		var running context.Context
		running, f.cancel = context.WithCancel(context.WithoutCancel(ctx)) // it is everybody's
		s.feeds[id] = f
		go f.run(running)
	}
	v.feed = f
	f.mu.Lock()
	defer f.mu.Unlock()
	v.cursor.Store(f.last) // it pins nothing before it knows where it begins
	f.views[v] = struct{}{}
	return v
}

// Close ends the view, and the stream from the node with the last one.
func (v *View) Close() {
	v.once.Do(func() {
		if v.past != nil {
			v.leavePast()
		}
		f, s := v.feed, v.feed.service
		s.mu.Lock()
		f.mu.Lock()
		delete(f.views, v)
		last := len(f.views) == 0
		f.mu.Unlock()
		if last {
			delete(s.feeds, f.id)
		}
		s.mu.Unlock()
		if last {
			f.cancel()
			<-f.done
			f.disconnect("nobody looks any more")
			s.kept.Add(int64(-f.bytes))
		}
	})
}

// Next waits for what is new. The error is ctx's.
func (v *View) Next(ctx context.Context) (Batch, error) {
	for {
		if v.past != nil {
			return v.catchUp(ctx)
		}
		v.feed.mu.Lock()
		b := v.collect()
		changed := v.feed.changed
		v.feed.mu.Unlock()
		if !b.empty() {
			return b, nil
		}
		if v.past != nil {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		}
	}
}

// collect takes what the view has not seen yet. It needs the feed's lock.
func (v *View) collect() (b Batch) {
	f := v.feed
	if v.states != f.states {
		v.states = f.states
		state := f.state
		b.State = &state
	}
	if f.record == "" {
		return b
	}
	if v.epoch != f.epoch {
		b.Record = f.record
		v.place()
		return b
	}
	if v.past != nil {
		return b
	}
	v.lines(&b)
	if v.tails != f.tails && v.cursor.Load() >= f.last {
		v.tails = f.tails
		tail := f.tail
		b.Tail = &tail
	}
	return b
}

// place finds where the view begins in a record.
func (v *View) place() {
	f := v.feed
	again := v.epoch != 0
	v.epoch, v.fresh = f.epoch, false
	from := v.from.After
	if again || !v.from.Resume || (v.from.Record != "" && v.from.Record != f.record) || from > f.last {
		v.fresh, from = true, max(f.last-v.from.Most, 0)
	}
	v.cursor.Store(from)
	if from < f.first()-1 {
		v.past = &past{service: f.service, id: f.id, record: f.record, at: from, to: f.first() - 1}
	}
}

// lines takes those behind the cursor.
func (v *View) lines(b *Batch) {
	f, at := v.feed, v.cursor.Load()
	n := search(f.lines, at)
	if n == len(f.lines) {
		return
	}
	if next := f.lines[n].Seq; next > at+1 && !v.fresh {
		if v.lookBack(at, next-1) {
			return
		}
		b.Missed = &wire.ConsoleMissed{From: at + 1, To: next - 1}
	}
	v.fresh = false
	size := 0
	for _, line := range f.lines[n:] {
		gap := len(b.Lines) > 0 && line.Seq != at+1
		if gap || len(b.Lines) == batchLines || size+len(line.Raw) > batchBytes && size > 0 {
			break
		}
		b.Lines = append(b.Lines, line)
		size += len(line.Raw)
		at = line.Seq
	}
	v.cursor.Store(at)
}

// lookBack has the view read from the node what is not here any more: who was slow
// for a while loses nothing that is still recorded. false when enough others do.
func (v *View) lookBack(at, to int64) bool {
	if v.feed.laggards == mostLaggards {
		return false
	}
	v.feed.laggards++
	v.lags = true
	v.past = &past{service: v.feed.service, id: v.feed.id, record: v.feed.record, at: at, to: to}
	return true
}

// leavePast ends the stream of its own.
func (v *View) leavePast() {
	v.past.close()
	v.past = nil
	if v.lags {
		v.lags = false
		v.feed.mu.Lock()
		v.feed.laggards--
		v.feed.mu.Unlock()
	}
}

// search gives the index of the first line above at.
func search(lines []Line, at int64) int {
	low, high := 0, len(lines)
	for low < high {
		mid := (low + high) / 2
		if lines[mid].Seq <= at {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

// catchUp reads what is older than the feed has. What can't be got is missed.
func (v *View) catchUp(ctx context.Context) (Batch, error) {
	lines, missed, err := v.past.next(ctx)
	if ctx.Err() != nil {
		return Batch{}, ctx.Err()
	}
	b := Batch{Missed: missed, Lines: lines}
	if err != nil || v.past.at >= v.past.to {
		if v.past.at < v.past.to {
			b = Batch{Missed: &wire.ConsoleMissed{From: v.past.at + 1, To: v.past.to}}
			v.past.at = v.past.to
		}
		v.cursor.Store(v.past.to)
		v.leavePast()
	}
	if v.fresh { // what is gone from before its beginning is no news
		b.Missed = nil
		v.fresh = len(b.Lines) == 0
	}
	if b.empty() {
		return v.Next(ctx)
	}
	return b, nil
}

// encode makes the message of lines.
func encode(lines []Line) []byte {
	size := 32
	for _, line := range lines {
		size += len(line.Raw) + 1
	}
	out := append(make([]byte, 0, size), `{"type":"lines","lines":[`...)
	for n, line := range lines {
		if n > 0 {
			out = append(out, ',')
		}
		out = append(out, line.Raw...)
	}
	return append(out, "]}"...)
}
