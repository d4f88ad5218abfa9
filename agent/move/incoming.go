package move

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/volume"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// incoming is a volume that is being copied here.
type incoming struct {
	id ident.Instance

	mu        sync.Mutex
	announced wire.Incoming
	image     wire.ImageReadiness
	failure   *problem.Problem
	fetch     context.CancelFunc // of the fetch under way; nil: none
	fetches   int                // counts them
	work      *turn              // the compare or receive under way; nil: none
	gone      bool               // adopted or dropped
	wanted    map[wire.Path]bool // files that the latest compare asked for
	placed    int64              // bytes that the latest pass found or put in place
}

// turn is the right to change an incoming volume.
type turn struct {
	cancel context.CancelCauseFunc
	done   chan struct{}
}

func recall(id ident.Instance, text []byte) (*incoming, error) {
	i := &incoming{id: id, image: wire.ImagePulling}
	if err := json.Unmarshal(text, &i.announced); err != nil {
		return nil, err
	}
	if i.announced.Instance != id {
		return nil, fmt.Errorf("it is about %q", i.announced.Instance)
	}
	return i, nil
}

var errNewer = problem.New(problem.Conflict, "a newer call about the same volume took this one's place")

// begin ends the turn under way, waits for its end and takes the next. The
// context ends when a newer one wants its place.
func (i *incoming) begin(ctx context.Context) (context.Context, func(), error) {
	ctx, cancel := context.WithCancelCause(ctx)
	mine := &turn{cancel: cancel, done: make(chan struct{})}
	i.mu.Lock()
	before := i.work
	if i.gone {
		i.mu.Unlock()
		cancel(nil)
		return nil, nil, notIncoming(i.id)
	}
	i.work = mine
	if before != nil {
		before.cancel(errNewer)
	}
	i.mu.Unlock()
	end := func() {
		i.mu.Lock()
		if i.work == mine {
			i.work = nil
		}
		i.mu.Unlock()
		cancel(nil)
		close(mine.done)
	}
	if before != nil {
		<-before.done // it was told to end, and whatever it waits for has been cut
	}
	if ctx.Err() != nil {
		defer end()
		return nil, nil, context.Cause(ctx)
	}
	return ctx, end, nil
}

// interrupt ends what is under way about the volume.
func (i *incoming) interrupt(why error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.work != nil {
		i.work.cancel(why)
	}
}

// leave ends everything about the volume for good and waits for its end. stay
// takes it back.
func (i *incoming) leave() (stay func()) {
	i.mu.Lock()
	i.gone = true
	work := i.work
	if work != nil {
		work.cancel(notIncoming(i.id))
	}
	if i.fetch != nil {
		i.fetch()
	}
	i.mu.Unlock()
	if work != nil {
		<-work.done
	}
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.gone = false
	}
}

func (i *incoming) state() wire.IncomingState {
	i.mu.Lock()
	defer i.mu.Unlock()
	return wire.IncomingState{Image: i.image, Failure: i.failure, Bytes: i.placed}
}

func (i *incoming) want(paths map[wire.Path]bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.wanted = paths
}

func (i *incoming) wants(path wire.Path) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.wanted[path]
}

// place counts bytes that are in place; the first page of a pass begins anew.
func (i *incoming) place(bytes int64, anew bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if anew {
		i.placed = 0
	}
	i.placed += bytes
}

func notIncoming(id ident.Instance) error {
	return problem.New(problem.NotFound, "no volume of instance %s is being copied to this node", id)
}

func (s *Store) find(id ident.Instance) (*incoming, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.incoming[id]; i != nil {
		return i, nil
	}
	return nil, notIncoming(id)
}

// Announce makes room for a volume and sees to its image; it may be repeated,
// and then tries to get an image again that could not be had.
func (s *Store) Announce(in wire.Incoming) (wire.IncomingState, error) {
	if !in.Instance.Valid() || in.Spec.Instance != in.Instance {
		return wire.IncomingState{}, problem.Invalid("spec", "is not of the instance that is announced")
	}
	text, err := json.Marshal(in)
	if err != nil {
		return wire.IncomingState{}, fmt.Errorf("encode what was announced: %w", err)
	}
	s.life.Lock()
	defer s.life.Unlock()
	there, err := s.Volumes.Has(in.Instance)
	if err != nil {
		return wire.IncomingState{}, err
	}
	if there {
		return wire.IncomingState{}, problem.New(problem.Conflict, "this node holds a volume of instance %s already", in.Instance)
	}
	if err := s.Volumes.StageWithin(in.Instance, in.Spec.Limits.DiskMiB<<20, text); err != nil {
		return wire.IncomingState{}, explain(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.incoming[in.Instance]
	if i == nil {
		i = &incoming{id: in.Instance, image: wire.ImagePulling}
		s.incoming[in.Instance] = i
	}
	i.mu.Lock()
	again := imageOf(i.announced) != imageOf(in) || i.announced.Spec.Image.Pull != in.Spec.Image.Pull || i.image == wire.ImageFailed
	i.announced = in
	i.mu.Unlock()
	if again {
		s.seeToImage(i)
	}
	return i.state(), nil
}

// Incoming says how far an incoming volume is.
func (s *Store) Incoming(id ident.Instance) (wire.IncomingState, error) {
	i, err := s.find(id)
	if err != nil {
		return wire.IncomingState{}, err
	}
	return i.state(), nil
}

// Staged lists the incoming volumes.
func (s *Store) Staged() []ident.Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]ident.Instance, 0, len(s.incoming))
	for id := range s.incoming {
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// Images are the references that incoming volumes are going to need.
func (s *Store) Images() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]string, 0, len(s.incoming))
	for _, i := range s.incoming {
		i.mu.Lock()
		list = append(list, imageOf(i.announced))
		i.mu.Unlock()
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// Drop forgets all of an incoming volume; one that isn't there is no error.
func (s *Store) Drop(id ident.Instance) error {
	s.life.Lock()
	defer s.life.Unlock()
	i, err := s.find(id)
	if err != nil {
		return nil //nolint:nilerr // that is what was asked for
	}
	stay := i.leave()
	if err := s.Volumes.Unstage(id); err != nil {
		stay()
		return err
	}
	s.remove(id)
	s.sweep()
	return nil
}

// Adopt makes the incoming volume the instance's, see volume.Store.Adopt. It may
// be repeated. That there is neither is a problem.
func (s *Store) Adopt(id ident.Instance) error {
	s.life.Lock()
	defer s.life.Unlock()
	stay := func() {}
	if i, err := s.find(id); err == nil {
		stay = i.leave()
	}
	if err := s.Volumes.Adopt(id); err != nil {
		stay()
		if errors.Is(err, volume.ErrNone) {
			return problem.New(problem.NotFound, "the volume that was to come from another node is not here").Because(err)
		}
		return err
	}
	s.remove(id)
	return nil
}

func (s *Store) remove(id ident.Instance) {
	s.mu.Lock()
	delete(s.incoming, id)
	s.mu.Unlock()
	s.forget(digestKey{id: id, incoming: true})
}

// The pauses between tries to get an image while the engine is away.
const (
	fetchPause    = time.Second
	longestPause  = time.Minute
	pauseGrowth   = 2
	unknownReason = "the image can't be had on this node; the agent's log says why"
)

// seeToImage gets the volume's image in the background; the caller holds mu.
// Before Run it does nothing: Run does it.
func (s *Store) seeToImage(i *incoming) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.image, i.failure = wire.ImagePulling, nil
	i.fetches++
	if i.fetch != nil {
		i.fetch()
		i.fetch = nil
	}
	if s.live == nil {
		return
	}
	in, number := i.announced, i.fetches
	ctx, cancel := context.WithCancel(s.live)
	i.fetch = cancel
	s.work.Go(func() {
		defer cancel()
		err := s.fetch(ctx, in.Spec.Image)
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.fetches != number || ctx.Err() != nil {
			return
		}
		i.fetch, i.image = nil, wire.ImageReady
		if err != nil {
			s.Log.Warn("the image of an incoming volume can't be had", "instance", string(i.id), "image", imageOf(in), "error", err)
			i.image, i.failure = wire.ImageFailed, told(err)
		}
	})
}

// fetch waits for an engine that is away.
func (s *Store) fetch(ctx context.Context, image wire.ImageSpec) error {
	for wait := fetchPause; ; wait = min(pauseGrowth*wait, longestPause) {
		err := s.Fetch(ctx, image)
		if !problem.Is(err, problem.NodeOffline) || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// told is a failure as it goes over the wire: without its cause.
func told(err error) *problem.Problem {
	var p *problem.Problem
	if errors.As(err, &p) {
		return &problem.Problem{Code: p.Code, Message: p.Message, Fields: p.Fields}
	}
	return problem.New(problem.Internal, "%s", unknownReason)
}

// imageOf is the name of the image that a volume's instance will need: of exactly
// the one that it is pinned to, if it is.
func imageOf(in wire.Incoming) string {
	return runtime.Wanted(in.Spec.Image.Reference, in.Spec.Image.Digest)
}
