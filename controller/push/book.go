package push

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/berth-panel/berth/shared/ident"
)

// book is what is known of the nodes' copies.
type book struct {
	wake chan struct{}

	mu       sync.Mutex
	nodes    map[ident.Node]*page
	revision int64
}

// page is what is known of one node's.
type page struct {
	gate   chan struct{} // whose holder pushes
	due    bool
	busy   bool // on its way by itself, or waiting for that
	failed int  // tries in a row
	sent   *sent
}

// sent is what a node was told.
type sent struct {
	since time.Time // of the connection
	sum   [sha256.Size]byte
}

func newBook() book {
	return book{wake: make(chan struct{}, 1), nodes: map[ident.Node]*page{}}
}

// of gives a node's page; mu is held.
func (b *book) of(on ident.Node) *page {
	p := b.nodes[on]
	if p == nil {
		p = &page{gate: make(chan struct{}, 1)}
		b.nodes[on] = p
	}
	return p
}

// mark says that these copies may be wrong.
func (b *book) mark(nodes ...ident.Node) {
	b.mu.Lock()
	for _, n := range nodes {
		b.of(n).due = true
	}
	b.mu.Unlock()
	b.rouse()
}

func (b *book) rouse() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take gives those that are due and not busy, and makes them busy.
func (b *book) take() (due []ident.Node) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n, p := range b.nodes {
		if p.due && !p.busy {
			p.due, p.busy = false, true
			due = append(due, n)
		}
	}
	return due
}

// settle ends what take began. again is how long to wait before the next try, 0
// for none.
func (b *book) settle(on ident.Node, failed bool) (again time.Duration) {
	defer b.rouse() // for what was marked meanwhile
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.nodes[on]
	if p == nil {
		return 0
	}
	p.busy = false
	if !failed {
		p.failed = 0
		return 0
	}
	p.failed++
	return min(longestWait, firstPause<<min(p.failed-1, 10))
}

// enter waits until nobody else pushes to the node.
func (b *book) enter(ctx context.Context, to ident.Node) (leave func(), err error) {
	b.mu.Lock()
	gate := b.of(to).gate
	b.mu.Unlock()
	select {
	case gate <- struct{}{}:
		return func() { <-gate }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (b *book) last(on ident.Node) (sent, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.nodes[on]; p != nil && p.sent != nil {
		return *p.sent, true
	}
	return sent{}, false
}

// keep remembers what the node was told; nil, that nobody knows what it holds.
func (b *book) keep(on ident.Node, what *sent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.nodes[on]; p != nil {
		p.sent = what
	}
}

// forget drops a node that is no more.
func (b *book) forget(gone ident.Node) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.nodes, gone)
}

// next gives a revision that is higher than all before, over a restart too.
func (b *book) next(now time.Time, held int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.revision = max(b.revision+1, held+1, now.UnixMilli())
	return b.revision
}
