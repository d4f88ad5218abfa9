package turnstile

import (
	"sync"
	"time"
)

// The paces of those who guess passwords: by address, by user name (whose owner
// must not be shut out for long by strangers), and of everybody together.
var (
	addressPace = Pace{Free: 10, First: time.Second, Most: 10 * time.Minute, Forget: 30 * time.Minute, Places: 10_000}
	namePace    = Pace{Free: 20, First: time.Second, Most: 30 * time.Second, Forget: 30 * time.Minute, Places: 10_000}
)

const (
	guessesBurst = 30
	guessEvery   = 100 * time.Millisecond
)

// Guesses slow down who guesses passwords: from one address 10 tries go without a
// wait, then it grows from 1 s to 10 min; with one user name 20, and up to 30 s;
// all together may try 10 a second.
type Guesses struct {
	addresses, names *Brake

	mu   sync.Mutex
	next time.Time // when the bucket is full again
}

// NewGuesses makes them.
func NewGuesses() *Guesses {
	return &Guesses{addresses: NewBrake(addressPace), names: NewBrake(namePace)}
}

// Try begins a try with a name, in the form in which names are compared: 0 when
// it may go on, else how long to wait. Without a name, or an address, only the
// other counts.
func (g *Guesses) Try(address, name string, now time.Time) time.Duration {
	var wait time.Duration
	if address != "" {
		wait = g.addresses.Try(Network(address), now)
	}
	if name != "" && wait == 0 {
		wait = g.names.Try(name, now)
	}
	if wait == 0 {
		wait = g.together(now)
	}
	return wait
}

// Passed takes a try back that was none: it came in, or could not be judged.
func (g *Guesses) Passed(address, name string) {
	g.addresses.Passed(Network(address))
	g.names.Passed(name)
}

// Held is how many addresses and names are remembered.
func (g *Guesses) Held() int { return g.addresses.Held() + g.names.Held() }

// together is a bucket of tries.
func (g *Guesses) together(now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next.Before(now) {
		g.next = now
	}
	next := g.next.Add(guessEvery)
	if wait := next.Sub(now) - guessesBurst*guessEvery; wait > 0 {
		return wait
	}
	g.next = next
	return 0
}
