package move

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/agent/volume"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Volumes are the data directories and the staging room (agent/volume).
type Volumes interface {
	Has(id ident.Instance) (bool, error)
	Files(id ident.Instance) (*files.Root, error)
	StageWithin(id ident.Instance, limit int64, text []byte) error
	Staged() (map[ident.Instance][]byte, error)
	OpenStaged(id ident.Instance) (volume.Staged, error)
	Unstage(id ident.Instance) error
	Sweep(stop func() bool) error
	Adopt(id ident.Instance) error
}

// Options are what a Store works with; all are needed.
type Options struct {
	Volumes Volumes
	// Fetch gets an image onto this node by its policy and returns once it is there;
	// its failures are problems for people, NODE_OFFLINE among them one that passes.
	Fetch func(ctx context.Context, image wire.ImageSpec) error
	Log   *slog.Logger
	Now   func() time.Time
}

// How much is done at a time.
const (
	maxDigests = 2
	maxStreams = 2 // in each direction
	maxPages   = 4 // of entries that are listed or compared
)

// slotWait is how long a call waits for its turn before it is refused as busy.
const slotWait = 20 * time.Second

// Store is both sides of moves. It is safe for concurrent use.
type Store struct {
	Options
	digestSlots, sendSlots, receiveSlots, pageSlots gate

	life sync.Mutex // one announcement, adoption or dropping at a time

	mu       sync.Mutex
	live     context.Context // of what is done in the background; nil while Run doesn't run
	work     sync.WaitGroup
	incoming map[ident.Instance]*incoming
	digests  map[digestKey]*digest
	sweeping bool // a sweep is due or under way
	again    bool // something was thrown away meanwhile
}

// New finds the incoming volumes of the disk again; their images are fetched and
// digests worked out once Run runs.
func New(o Options) (*Store, error) {
	s := &Store{
		Options:     o,
		digestSlots: make(gate, maxDigests), sendSlots: make(gate, maxStreams), receiveSlots: make(gate, maxStreams), pageSlots: make(gate, maxPages),
		incoming: map[ident.Instance]*incoming{}, digests: map[digestKey]*digest{},
	}
	staged, err := o.Volumes.Staged()
	if err != nil {
		return nil, err
	}
	for id, text := range staged {
		i, err := recall(id, text)
		if err != nil {
			o.Log.Warn("an incoming volume is thrown away: what was kept of it can't be read", "instance", string(id), "error", err)
			if err := o.Volumes.Unstage(id); err != nil {
				return nil, err
			}
			continue
		}
		s.incoming[id] = i
	}
	return s, nil
}

// Run does the work in the background until ctx ends, and returns when all of it
// is at rest. Call it once.
func (s *Store) Run(ctx context.Context) {
	s.mu.Lock()
	s.live = ctx
	for _, i := range s.incoming {
		s.seeToImage(i) //nolint:contextcheck // it has live, which is ctx
	}
	s.mu.Unlock()
	s.sweep() //nolint:contextcheck // it has live, which is ctx
	<-ctx.Done()
	s.mu.Lock()
	s.live = nil
	for _, i := range s.incoming {
		i.interrupt(errStopping)
	}
	s.mu.Unlock()
	s.work.Wait()
}

var errStopping = problem.New(problem.NodeOffline, "the agent is being stopped")

// sweep has what was thrown away removed, soon.
func (s *Store) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.again = true
	if s.sweeping || s.live == nil {
		return
	}
	s.sweeping = true
	ctx := s.live
	s.work.Go(func() {
		for s.sweepDue(ctx) {
			if err := s.Volumes.Sweep(func() bool { return ctx.Err() != nil }); err != nil {
				s.Log.Warn("what was thrown away can't all be removed", "error", err)
			}
		}
	})
}

func (s *Store) sweepDue(ctx context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := s.again && ctx.Err() == nil
	s.again, s.sweeping = false, due
	return due
}

// gate lets a limited number through at a time.
type gate chan struct{}

// enter waits for a place, but not for long.
func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(slotWait)
	defer timer.Stop()
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return problem.New(problem.ResourceBusy, "the node is busy with other moves")
	}
}

func (g gate) leave() { <-g }

func missing(id ident.Instance) error {
	return problem.New(problem.NotFound, "no volume of instance %s is on this node", id)
}

// open opens the volume of an instance that is at home here.
func (s *Store) open(id ident.Instance) (*files.Root, error) {
	root, err := s.Volumes.Files(id)
	if errors.Is(err, volume.ErrNone) {
		return nil, missing(id)
	}
	if err != nil {
		return nil, fmt.Errorf("open the volume of %s: %w", id, err)
	}
	return root, nil
}

// explain makes the failures that people can do something about problems.
func explain(err error) error {
	var p *problem.Problem
	switch {
	case err == nil || errors.As(err, &p):
		return err
	case files.Full(err):
		return problem.New(problem.InsufficientResources, "the node's disk %s", files.Fullness(err)).Because(err)
	case errors.Is(err, errPermission):
		return problem.New(problem.Internal, "the agent may not do this with the volume's files; it should run as root").Because(err)
	default:
		return err
	}
}
