package push

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

const (
	gather      = 20 * time.Millisecond // before a push: changes come in crowds
	firstPause  = 200 * time.Millisecond
	longestWait = 10 * time.Second
	pushWithin  = 30 * time.Second
	pushesMost  = 8 // at a time
)

// Touched says whose copies an event may have made wrong.
type Touched int

// Nobody's, that of the node that the event names, or everyone's.
const (
	Nobody Touched = iota
	ItsNode
	Everyone
)

// Make makes a node's copy. Two copies are the same when they are as JSON.
type Make[T any] func(ctx context.Context, on ident.Node) (T, error)

// Plan is what a room says of its copies.
type Plan[T any] struct {
	What string // "the logins of registries": for the log
	// Touches is asked about each event, in their order. That a node came online or
	// is no more needs no word.
	Touches func(e event.Event) Touched
	// Read reads what the copies of several nodes are made of. Many call it at once.
	Read func(ctx context.Context) (Make[T], error)
	// Send gives a node its copy, and says which revision the node holds then.
	Send func(ctx context.Context, to ident.Node, copied T, revision int64) (held int64, err error)
	// Arrived, unless it is nil, runs on its own for each node at the beginning and
	// whenever one comes online. It ends when ctx does.
	Arrived func(ctx context.Context, came ident.Node)
}

// Nodes are who holds copies (controller/node).
type Nodes interface {
	All(ctx context.Context) ([]node.Node, error)
}

// Fleet says which of them are online (controller/fleet).
type Fleet interface {
	Presence(node ident.Node) fleet.Presence
}

// Deps are the rooms that this stands on; all are needed.
type Deps struct {
	DB     *store.DB
	Events *event.Log
	Nodes  Nodes
	Fleet  Fleet
	Log    *slog.Logger
	Now    func() time.Time
}

// Keeper keeps the copies of one kind right. Safe for concurrent use.
type Keeper[T any] struct {
	Deps
	plan  Plan[T]
	book  book
	tasks sync.WaitGroup // of Run
}

// New makes a keeper; Run sets it to work.
func New[T any](d Deps, p Plan[T]) *Keeper[T] {
	return &Keeper[T]{Deps: d, plan: p, book: newBook()}
}

// Run keeps the copies of all nodes right until ctx ends.
func (k *Keeper[T]) Run(ctx context.Context) {
	defer k.tasks.Wait()
	k.tasks.Go(func() { k.pushDue(ctx) })
	for ctx.Err() == nil {
		if err := k.listen(ctx); ctx.Err() == nil {
			k.Log.Error("events for "+k.plan.What+" can't be read", "error", err)
			_ = pause(ctx, longestWait)
		}
	}
}

// Current says whether what the node was told last stands: it was told over its
// present connection, and took it.
func (k *Keeper[T]) Current(on ident.Node) bool {
	last, told := k.book.last(on)
	return told && last.since.Equal(k.Fleet.Presence(on).Since)
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
