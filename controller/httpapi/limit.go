package httpapi

import (
	"sync"
	"time"
)

// window counts what happened within the last span, exactly: it keeps the time
// of each. Its memory grows with what is counted, up to the limit it is asked
// about. The zero times are an empty window.
type window struct {
	span  time.Duration
	times []int64 // a ring of nanoseconds, oldest at head
	head  int
	n     int
}

// forget drops what has left the window.
func (w *window) forget(now int64) {
	for w.n > 0 && w.times[w.head]+int64(w.span) <= now {
		w.head = (w.head + 1) % len(w.times)
		w.n--
	}
}

// add counts one.
func (w *window) add(now int64) {
	if w.n == len(w.times) {
		grown := make([]int64, max(8, 2*len(w.times)))
		for i := range w.n {
			grown[i] = w.times[(w.head+i)%len(w.times)]
		}
		w.times, w.head = grown, 0
	}
	w.times[(w.head+w.n)%len(w.times)] = now
	w.n++
}

// wait is how long it is until fewer than limit are in the window; 0 when that
// is so now.
func (w *window) wait(now int64, limit int) time.Duration {
	if w.n < limit {
		return 0
	}
	leaves := w.times[(w.head+w.n-limit)%len(w.times)] + int64(w.span)
	return time.Duration(leaves - now)
}

// recent keeps a value for each name that was used lately, and never more than
// most of them: old ones go first, then any.
type recent[T any] struct {
	most  int
	idle  time.Duration
	items map[string]*aged[T]
	swept int64
}

type aged[T any] struct {
	value T
	used  int64
}

// get finds or makes the value of a name.
func (r *recent[T]) get(name string, now int64, fresh func() T) *T {
	item, ok := r.items[name]
	if !ok {
		r.sweep(now)
		for other := range r.items {
			if len(r.items) < r.most {
				break
			}
			delete(r.items, other)
		}
		item = &aged[T]{value: fresh()}
		r.items[name] = item
	}
	item.used = now
	return &item.value
}

// sweep drops idle ones, once in an idle time.
func (r *recent[T]) sweep(now int64) {
	if now-r.swept < int64(r.idle) {
		return
	}
	r.swept = now
	for name, item := range r.items {
		if now-item.used >= int64(r.idle) {
			delete(r.items, name)
		}
	}
}

// usage is one caller's calls.
type usage struct{ minute, second window }

// limiter counts calls by caller. It is safe for concurrent use. It remembers
// 20,000 callers at most; with more of them at once (addresses, not keys) it
// forgets some, who then begin anew.
type limiter struct {
	mu      sync.Mutex
	callers recent[usage]
}

func newLimiter() *limiter {
	return &limiter{callers: recent[usage]{most: 20_000, idle: time.Minute, items: map[string]*aged[usage]{}}}
}

// verdict is how a caller stands after asking for one more call.
type verdict struct {
	wait      time.Duration // 0: go on; else not before this time is over
	remaining int           // of the minute
	reset     int64         // epoch second at which the oldest counted call leaves the minute
}

// perSecond is what a minute's limit allows in any one second.
func perSecond(limit int) int { return max(20, limit/5) }

// take counts one call unless it is over a limit.
func (l *limiter) take(who string, limit int, at time.Time) verdict {
	now := at.UnixNano()
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.callers.get(who, now, func() usage {
		return usage{minute: window{span: time.Minute}, second: window{span: time.Second}}
	})
	u.minute.forget(now)
	u.second.forget(now)
	v := verdict{wait: max(u.minute.wait(now, limit), u.second.wait(now, perSecond(limit)))}
	if v.wait == 0 {
		u.minute.add(now)
		u.second.add(now)
	}
	v.remaining = max(0, limit-u.minute.n)
	oldest := now
	if u.minute.n > 0 {
		oldest = u.minute.times[u.minute.head]
	}
	v.reset = (oldest + int64(time.Minute) + int64(time.Second) - 1) / int64(time.Second)
	return v
}
