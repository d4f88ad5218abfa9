package turnstile

import (
	"container/list"
	"sync"
	"time"
)

// Pace is how a Brake slows down. All must be positive.
type Pace struct {
	Free   int           // tries that cost no wait
	First  time.Duration // the wait after the next one; it doubles from there
	Most   time.Duration // up to this
	Forget time.Duration // without a try, all is forgotten; at least Most
	Places int           // keys that are remembered
}

// Brake counts tries by key: an address, a name.
type Brake struct {
	pace Pace

	mu    sync.Mutex
	of    map[string]*list.Element // of *tried
	order *list.List               // the longest ago first
}

type tried struct {
	key   string
	tries int
	last  time.Time
	until time.Time
}

// NewBrake makes a Brake.
func NewBrake(p Pace) *Brake {
	return &Brake{pace: p, of: map[string]*list.Element{}, order: list.New()}
}

// Try begins a try: 0 when it may go on, else how long to wait, and then it is
// none. It counts as failed until Passed takes it back.
func (b *Brake) Try(key string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.get(key, now)
	if wait := t.until.Sub(now); wait > 0 {
		return wait
	}
	t.tries++
	t.last = now
	b.order.MoveToBack(b.of[key])
	if over := t.tries - b.pace.Free; over > 0 {
		t.until = now.Add(b.wait(over))
	}
	return 0
}

// Passed takes one try back that was none: it came in.
func (b *Brake) Passed(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := b.of[key]
	if at == nil {
		return
	}
	t := held(at)
	t.until = time.Time{}
	if t.tries--; t.tries <= 0 {
		b.drop(at)
	}
}

// Held is how many keys are remembered.
func (b *Brake) Held() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.of)
}

// held is what an element of order holds.
func held(at *list.Element) *tried {
	t, _ := at.Value.(*tried)
	return t
}

func (b *Brake) wait(over int) time.Duration {
	wait := b.pace.First
	for ; over > 1 && wait < b.pace.Most; over-- {
		wait *= 2
	}
	return min(wait, b.pace.Most)
}

// get finds or makes a key's record; it needs the lock.
func (b *Brake) get(key string, now time.Time) *tried {
	if at := b.of[key]; at != nil {
		t := held(at)
		if now.Sub(t.last) >= b.pace.Forget {
			t.tries, t.until = 0, time.Time{}
		}
		return t
	}
	for len(b.of) >= b.pace.Places {
		b.drop(b.order.Front())
	}
	t := &tried{key: key}
	b.of[key] = b.order.PushBack(t)
	return t
}

func (b *Brake) drop(at *list.Element) {
	delete(b.of, held(at).key)
	b.order.Remove(at)
}
