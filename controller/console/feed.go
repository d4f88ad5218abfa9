package console

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// What is kept of a watched instance's lines: the newest keepBytes or keepLines,
// and more while somebody is behind.
const (
	keepLines   = 20_000
	keepBytes   = 2 << 20
	behindLines = 200_000
	behindBytes = 16 << 20
	behindAll   = 256 << 20 // of all instances together
	lineCost    = 64        // bytes of a line besides its JSON

	// mostLaggards is how many views that were too slow may read from the node at
	// once what is not kept here any more: each is a stream of its own.
	mostLaggards = 4
)

// feed is one instance's console while somebody looks at it: what its node sends,
// kept for all who read. Safe for concurrent use.
type feed struct {
	service *Service
	id      ident.Instance
	cancel  context.CancelFunc
	done    chan struct{}
	tried   chan struct{} // closed when the node was reached, or was not
	trying  sync.Once

	mu      sync.Mutex
	changed chan struct{} // closed and replaced with every change
	views   map[*View]struct{}
	// laggards counts those that read again from the node what they were too slow for.
	laggards int

	record  string
	epoch   int // of the record: raised when another one begins
	floor   int64
	lines   []Line
	bytes   int
	trimmed bool  // older lines than these were here
	last    int64 // the newest there is
	tail    string
	tails   int // raised with each
	state   State
	states  int

	out     chan wire.ConsoleInput // nil while the node is away
	offline string                 // why
	refs    uint64
	pending map[string]func(error)
}

func newFeed(s *Service, id ident.Instance) *feed {
	return &feed{service: s, id: id, done: make(chan struct{}), tried: make(chan struct{}), changed: make(chan struct{}), views: map[*View]struct{}{},
		pending: map[string]func(error){}, offline: "it is being connected"}
}

// change runs f and tells everybody.
func (f *feed) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	close(f.changed)
	f.changed = make(chan struct{})
}

// began notes what a stream's first frame says. false: it is another record than
// the one that the stream was to go on with, and must be asked for from its end.
func (f *feed) began(record string, last int64, resumed bool) (ok bool) {
	ok = true
	f.change(func() {
		if f.record == record {
			f.last = max(f.last, last)
			return
		}
		if f.record != "" {
			f.service.kept.Add(int64(-f.bytes))
			f.lines, f.bytes, f.trimmed, f.last, f.tail = nil, 0, false, 0, ""
			f.tails++
		}
		if resumed {
			f.record, ok = "", false
			return
		}
		f.record, f.last = record, last
		f.floor = max(last-wire.ConsoleBacklog, 0) + 1
		f.epoch++
	})
	return ok
}

// take adds lines; those that are here already are passed over.
func (f *feed) take(raws []json.RawMessage, tail *string) error {
	fresh := make([]Line, 0, len(raws))
	for _, raw := range raws {
		line, err := lineOf(raw)
		if err != nil {
			return err
		}
		fresh = append(fresh, line)
	}
	f.change(func() {
		added := 0
		newest := int64(0)
		if n := len(f.lines); n > 0 {
			newest = f.lines[n-1].Seq
		}
		for _, line := range fresh {
			if line.Seq <= newest {
				continue
			}
			newest = line.Seq
			f.lines = append(f.lines, line)
			added += len(line.Raw) + lineCost
		}
		f.last = max(f.last, newest)
		f.bytes += added
		f.service.kept.Add(int64(added))
		if len(fresh) > 0 && f.tail != "" { // a line takes a tail's place
			f.tail = ""
			f.tails++
		}
		if tail != nil && *tail != f.tail {
			f.tail = *tail
			f.tails++
		}
		f.trim()
	})
	return nil
}

// skip notes lines that the node passed over.
func (f *feed) skip(m wire.ConsoleMissed) {
	f.change(func() { f.last = max(f.last, m.To) })
}

// trim drops the oldest lines: those beyond what is kept that nobody needs any
// more, and those beyond what is kept of anybody's. It needs the lock.
func (f *feed) trim() {
	if len(f.lines) <= keepLines && f.bytes <= keepBytes {
		return
	}
	needed := f.last + 1
	for v := range f.views {
		needed = min(needed, v.cursor.Load()+1)
	}
	most, bytes := behindLines, f.service.behind
	if f.service.kept.Load() > behindAll {
		most, bytes = keepLines, keepBytes
	}
	n, freed := 0, 0
	for n < len(f.lines) {
		over := len(f.lines)-n > keepLines || f.bytes-freed > keepBytes
		must := len(f.lines)-n > most || f.bytes-freed > bytes
		if !must && (!over || f.lines[n].Seq >= needed) {
			break
		}
		freed += len(f.lines[n].Raw) + lineCost
		f.lines[n] = Line{}
		n++
	}
	if n > 0 {
		f.lines, f.bytes, f.trimmed = f.lines[n:], f.bytes-freed, true
		f.service.kept.Add(int64(-freed))
	}
}

// first is the oldest line that a view gets from here. It needs the lock.
func (f *feed) first() int64 {
	if f.trimmed && len(f.lines) > 0 {
		return f.lines[0].Seq
	}
	return f.floor
}

func (f *feed) tell(s State) {
	f.change(func() {
		f.state = s
		f.states++
	})
}

// send hands an input to the node; then is called once, with what became of it.
// Who is the first to look need not wait before he types: that is done here.
func (f *feed) send(ctx context.Context, in wire.ConsoleInput, then func(error)) error {
	select {
	case <-f.tried:
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.out == nil {
		return problem.New(problem.NodeOffline, "the node can't be reached now: %s", f.offline)
	}
	f.refs++
	in.Ref = strconv.FormatUint(f.refs, 36)
	select {
	case f.out <- in:
	default:
		return problem.New(problem.ResourceBusy, "the node has not taken the inputs before this one yet: try again")
	}
	f.pending[in.Ref] = then
	time.AfterFunc(f.service.pace.reply, func() {
		f.settle(in.Ref, problem.New(problem.NodeOffline, "the node did not answer within %s; it is uncertain whether it was carried out", f.service.pace.reply))
	})
	return nil
}

// settle tells what became of an input, once.
func (f *feed) settle(ref string, err error) {
	f.mu.Lock()
	then := f.pending[ref]
	delete(f.pending, ref)
	f.mu.Unlock()
	if then != nil {
		then(err)
	}
}

// connect says that inputs can be sent; disconnect that they can't, and that
// nobody knows what became of those that were.
func (f *feed) connect() <-chan wire.ConsoleInput {
	out := make(chan wire.ConsoleInput, 256)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.out = out
	f.trying.Do(func() { close(f.tried) })
	return out
}

func (f *feed) disconnect(why string) {
	f.mu.Lock()
	lost := f.pending
	f.out, f.offline, f.pending = nil, why, map[string]func(error){}
	f.mu.Unlock()
	f.trying.Do(func() { close(f.tried) })
	for _, then := range lost {
		then(problem.New(problem.NodeOffline, "the connection to the node broke off; it is uncertain whether this was carried out"))
	}
}
