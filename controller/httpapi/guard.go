package httpapi

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	wrongKeys     = 20 // from one address within a minute
	knownKeys     = 64 // right ones that are remembered of one address
	addresses     = 10_000
	addressMemory = time.Hour
)

// guard slows the guessing of keys. After 20 wrong ones within a minute from one
// address (an IPv6 /64), keys that haven't been right from there are refused
// unseen until the oldest of the 20 is a minute old. Keys that were right from
// there within the last hour go on working, so nobody behind the same address
// is shut out by a guesser. It keeps hashes, of 10,000 addresses at most. It is
// safe for concurrent use.
type guard struct {
	mu   sync.Mutex
	from recent[visitor]
}

type visitor struct {
	wrong window
	right map[[sha256.Size]byte]int64 // when it was last right
}

func newGuard() *guard {
	return &guard{from: recent[visitor]{most: addresses, idle: addressMemory, items: map[string]*aged[visitor]{}}}
}

func (g *guard) visitor(address string, now int64) *visitor {
	return g.from.get(network(address), now, func() visitor {
		return visitor{wrong: window{span: time.Minute}, right: map[[sha256.Size]byte]int64{}}
	})
}

// enter asks whether a key may be tried: 0, or how long to wait. Tries at the
// same time are judged by what is known when they begin.
func (g *guard) enter(address string, key [sha256.Size]byte, at time.Time) time.Duration {
	now := at.UnixNano()
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.visitor(address, now)
	if _, known := v.right[key]; known {
		return 0
	}
	v.wrong.forget(now)
	return v.wrong.wait(now, wrongKeys)
}

// right remembers a key that was let in.
func (g *guard) right(address string, key [sha256.Size]byte, at time.Time) {
	now := at.UnixNano()
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.visitor(address, now)
	if _, known := v.right[key]; !known {
		v.makeRoom()
	}
	v.right[key] = now
}

// makeRoom forgets the key that was right the longest ago.
func (v *visitor) makeRoom() {
	if len(v.right) < knownKeys {
		return
	}
	var oldest [sha256.Size]byte
	var when int64
	first := true
	for key, used := range v.right {
		if first || used < when {
			oldest, when, first = key, used, false
		}
	}
	delete(v.right, oldest)
}

// wrong counts a key that was refused, also one that used to be right.
func (g *guard) wrong(address string, key [sha256.Size]byte, at time.Time) {
	now := at.UnixNano()
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.visitor(address, now)
	delete(v.right, key)
	v.wrong.forget(now)
	if v.wrong.n < wrongKeys {
		v.wrong.add(now)
	}
}
