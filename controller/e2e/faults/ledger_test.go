package faults

import (
	"fmt"
	"sync"
)

// life is what the ledger knows of an instance's being.
type life string

const (
	never  life = "never"  // it was refused, or nobody asked yet
	living life = "living" // it was answered 2xx and not deleted
	gone   life = "gone"   // its deletion was answered 2xx
	unsure life = "unsure" // the last call got no definite answer at all
)

// entry is what must be true of one slot's instance, by what was answered.
type entry struct {
	Slot      int
	Name      string
	Mark      string
	Life      life
	ID        string
	Node      string // "" when the controller chose
	Power     string // "running" or "stopped"
	Suspended bool
	Memory    int64
	CPU       float64
	Greeting  string
	Port      uint16
	Counted   int // what the witness said last
	Uncertain int // counts that it may have made beyond that
}

// ledger keeps every slot's entry and what was contradicted on the way. Safe for
// concurrent use; an entry is changed by its slot's goroutine only.
type ledger struct {
	mu      sync.Mutex
	entries map[int]entry
	broken  []violation
	answers map[string]int // how many of which kind, for the summary
}

func newLedger() *ledger { return &ledger{entries: map[int]entry{}, answers: map[string]int{}} }

func (l *ledger) get(slot int) entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, there := l.entries[slot]
	if !there {
		e = entry{Slot: slot, Name: fmt.Sprintf("slot-%d", slot), Mark: fmt.Sprintf("mark of slot %d", slot), Life: never}
	}
	return e
}

func (l *ledger) put(e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[e.Slot] = e
}

func (l *ledger) all() []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]entry, 0, len(l.entries))
	for slot := range len(l.entries) + 1000 {
		if e, there := l.entries[slot]; there {
			out = append(out, e)
		}
	}
	return out
}

// contradict notes something that can't be true.
func (l *ledger) contradict(kind, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = append(l.broken, violation{kind, fmt.Sprintf(format, args...)})
}

func (l *ledger) contradictions() []violation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]violation(nil), l.broken...)
}

func (l *ledger) count(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers[what]++
}

// settle says what is true after a definite answer to a deed.
func (l *ledger) settle(e entry, d deed, a answer, first bool) entry {
	l.count(fmt.Sprintf("%s %d", d.Act, a.status))
	switch {
	case a.status == 404 && e.Life == living && (d.Act != remove || first):
		l.contradict("lost", "%s (%s) was answered 2xx, and %s says 404: %s", e.Name, e.ID, d.Act, a.message)
		return e
	case a.status == 404 && d.Act == remove && e.Life == living:
		e.Life = gone // an earlier try did it
		return e
	case a.status >= 300:
		return e
	}
	switch d.Act {
	case deploy:
		e.Life, e.Power, e.Memory, e.CPU, e.Port, e.Greeting = living, "running", d.Memory, d.CPU, d.Port, "hello"
	case remove:
		e.Life = gone
	case suspend, unsuspend:
		e.Suspended = d.Act == suspend
	case start, restart:
		e.Power = "running"
	case stop, kill:
		e.Power = "stopped"
	case change:
		settleChange(&e, d)
	}
	return e
}

func settleChange(e *entry, d deed) {
	if d.Memory != 0 {
		e.Memory = d.Memory
	}
	if d.CPU != 0 {
		e.CPU = d.CPU
	}
	if d.Port != 0 {
		e.Port = d.Port
	}
	if d.Greeting != "" {
		e.Greeting = d.Greeting
	}
}
