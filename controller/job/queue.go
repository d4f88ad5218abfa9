package job

import (
	"container/heap"
	"sync"
	"time"

	"github.com/berth-panel/berth/shared/ident"
)

const (
	workers     = 128 // calls of handlers at a time: they mostly wait for agents
	longWorkers = 32  // and of those whose kind may take longer than handlerLimit
	perNode     = 4   // of each of the two, for one node
	batch       = 32  // claimed in one transaction
)

// lane is what is worked off side by side with others: the jobs of a node, and
// of those the ones that take long by themselves.
type lane struct {
	node ident.Node // "" for jobs of none, which share no limit but the whole
	long bool
}

// pick is a job that the queue gave out; it takes a place of its lane until it
// is given back by release.
type pick struct {
	id   ident.Job
	lane lane
}

// queue knows which jobs wait for their time, so that neither the next one nor
// a free worker is looked for in the database. It holds hints: the table says
// what is true, and one that is missing here is found by the next sweep. Nodes
// take turns, each has few workers at a time, and one that was just found away
// or too slow to answer has a single one until a call goes well or it is woken:
// a hundred jobs of a stuck node hold up nobody else's. Every step takes
// O(log n). Safe for concurrent use.
type queue struct {
	mu      sync.Mutex
	serial  uint64
	waiting map[ident.Job]item // what is in here; what lies in the heap or a line and isn't equal to it is void
	later   laterHeap
	lines   map[lane]*line
	turns   [2][]lane // of short and long work: lanes that have due jobs and a free place
	busy    [2]int
	away    map[ident.Node]struct{}
}

type item struct {
	pick
	at     time.Time
	serial uint64
}

// line is the due jobs of a lane, in order.
type line struct {
	items  []item
	busy   int
	inTurn bool
}

func newQueue() *queue {
	return &queue{waiting: map[ident.Job]item{}, lines: map[lane]*line{}, away: map[ident.Node]struct{}{}}
}

// push puts a job in for a time. When it is there already, the earlier of the
// two times holds: two hints may come in any order.
func (q *queue) push(p pick, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if old, there := q.waiting[p.id]; there && !at.Before(old.at) {
		return
	}
	q.serial++
	it := item{pick: p, at: at, serial: q.serial}
	q.waiting[p.id] = it
	heap.Push(&q.later, it)
}

// take gives out what may run now, a batch at most.
func (q *queue) take(now time.Time) []pick {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ripen(now)
	var out []pick
	for class, most := range [2]int{workers, longWorkers} {
		for len(out) < batch && q.busy[class] < most && len(q.turns[class]) > 0 {
			turn := q.turns[class][0]
			q.turns[class] = q.turns[class][1:]
			if p, there := q.serve(turn); there {
				q.busy[class]++
				out = append(out, p)
			}
		}
	}
	return out
}

// ripen moves what is due from the heap to its line.
func (q *queue) ripen(now time.Time) {
	for len(q.later) > 0 && (q.void(q.later[0]) || !q.later[0].at.After(now)) {
		it, _ := heap.Pop(&q.later).(item)
		if q.void(it) {
			continue
		}
		l := q.lines[it.lane]
		if l == nil {
			l = &line{}
			q.lines[it.lane] = l
		}
		l.items = append(l.items, it)
		q.queueUp(it.lane, l)
	}
}

// serve takes the next job of a lane whose turn it is, and lets it line up again.
func (q *queue) serve(turn lane) (pick, bool) {
	l := q.lines[turn]
	l.inTurn = false
	if turn.node != "" && l.busy >= q.places(turn.node) { // found away meanwhile; release lets it line up again
		return pick{}, false
	}
	for len(l.items) > 0 {
		it := l.items[0]
		l.items = l.items[1:]
		if q.void(it) {
			continue
		}
		delete(q.waiting, it.id)
		l.busy++
		q.queueUp(turn, l)
		return it.pick, true
	}
	q.leave(turn, l)
	return pick{}, false
}

func (q *queue) queueUp(n lane, l *line) {
	if l.inTurn || len(l.items) == 0 || (n.node != "" && l.busy >= q.places(n.node)) {
		return
	}
	l.inTurn = true
	q.turns[class(n)] = append(q.turns[class(n)], n)
}

func (q *queue) places(node ident.Node) int {
	if _, away := q.away[node]; away {
		return 1
	}
	return perNode
}

func (q *queue) leave(n lane, l *line) {
	if len(l.items) == 0 && l.busy == 0 && !l.inTurn {
		delete(q.lines, n)
	}
}

// release frees a place that take gave out.
func (q *queue) release(p pick) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy[class(p.lane)]--
	l := q.lines[p.lane]
	l.busy--
	q.queueUp(p.lane, l)
	q.leave(p.lane, l)
}

// found notes whether a node was there when it was called, or came back.
func (q *queue) found(node ident.Node, there bool) {
	if node == "" {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if !there {
		q.away[node] = struct{}{}
		return
	}
	delete(q.away, node)
	for _, n := range [2]lane{{node: node}, {node: node, long: true}} {
		if l := q.lines[n]; l != nil {
			q.queueUp(n, l)
		}
	}
}

// next gives when something may be due; zero when nothing waits for its time.
func (q *queue) next() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.later) > 0 && q.void(q.later[0]) {
		heap.Pop(&q.later)
	}
	if len(q.later) == 0 {
		return time.Time{}
	}
	return q.later[0].at
}

// void says that an item was overtaken by a later push, or given out since.
func (q *queue) void(it item) bool { return q.waiting[it.id].serial != it.serial }

func class(n lane) int {
	if n.long {
		return 1
	}
	return 0
}

// laterHeap is items by their time, those of one time in the order of their coming.
type laterHeap []item

func (h laterHeap) Len() int { return len(h) }
func (h laterHeap) Less(i, k int) bool {
	if h[i].at.Equal(h[k].at) {
		return h[i].serial < h[k].serial
	}
	return h[i].at.Before(h[k].at)
}
func (h laterHeap) Swap(i, k int) { h[i], h[k] = h[k], h[i] }
func (h *laterHeap) Push(x any) {
	if it, ok := x.(item); ok {
		*h = append(*h, it)
	}
}
func (h *laterHeap) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	(*h)[last] = item{}
	*h = (*h)[:last]
	return it
}
