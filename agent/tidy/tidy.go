package tidy

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/agent/runtime"
)

// Defaults of Options.
const (
	DefaultKeep = 7 * 24 * time.Hour
	DefaultFree = 10
)

const (
	// Recent is how long an image stays after it was last in use, however full the
	// disk is.
	Recent = time.Hour

	passEvery  = 10 * time.Minute
	passJitter = 2 * time.Minute
	firstPass  = time.Minute // after the start: the controller may be about to send specs
	// removeWithin is how long the removal of one image may take; deploys wait for
	// it.
	removeWithin = 2 * time.Minute
)

// Journal remembers what was pulled (agent/journal).
type Journal interface {
	Images() ([]journal.Image, error)
	Pulled(id, name string, at time.Time) error
	ImagesUsed(at time.Time, used, gone []string) error
}

// Options are a Tidy's settings; Engine, Journal, Log and Now are needed.
type Options struct {
	Engine  runtime.Engine
	Journal Journal
	Keep    time.Duration // how long an unused image stays; 0 is DefaultKeep, less than Recent is Recent
	Free    int           // percent of the engine's filesystem that are kept free; 0 is DefaultFree, less is none
	Log     *slog.Logger
	Now     func() time.Time
}

// Tidy clears images. Its methods are safe for concurrent use.
type Tidy struct {
	engine   runtime.Engine
	journal  Journal
	keep     time.Duration
	free     int64
	log      *slog.Logger
	now      func() time.Time
	removing gate // held while an image is being removed

	mu    sync.Mutex
	pulls map[string]int // under way, by reference
}

// New makes a Tidy; nothing happens before Run.
func New(o Options) *Tidy {
	t := &Tidy{
		engine: o.Engine, journal: o.Journal, keep: max(o.Keep, Recent), free: int64(o.Free), log: o.Log, now: o.Now,
		removing: make(gate, 1), pulls: map[string]int{},
	}
	if o.Keep == 0 {
		t.keep = DefaultKeep
	}
	if o.Free == 0 {
		t.free = DefaultFree
	}
	return t
}

// Engine is the engine through which pulls are noted.
func (t *Tidy) Engine() *Engine { return &Engine{Engine: t.engine, tidy: t} }

// Run clears images until ctx ends. held gives the references that the agent
// holds: of instances, and of what is about to become one.
func (t *Tidy) Run(ctx context.Context, held func() []string) {
	for wait := firstPass; pause(ctx, wait) == nil; wait = passEvery + rand.N(passJitter) {
		if err := t.Pass(ctx, held); err != nil && ctx.Err() == nil && runtime.ReasonOf(err) != runtime.Unreachable {
			t.log.Warn("unused images can't be cleared now", "error", err)
		}
	}
}

// Pass looks at all images once and removes those whose time has come.
func (t *Tidy) Pass(ctx context.Context, held func() []string) error {
	unused, err := t.look(ctx, held)
	if err != nil {
		return err
	}
	for _, i := range unused { // the longest unused first
		age := t.now().Sub(i.Used)
		if age < Recent {
			return nil
		}
		if age < t.keep {
			if low, err := t.low(ctx); err != nil || !low {
				return err
			}
		}
		if err := t.remove(ctx, i, held); err != nil {
			return err
		}
	}
	return nil
}

// look brings the notes up to date and gives the images that may go, the longest
// unused first.
func (t *Tidy) look(ctx context.Context, held func() []string) ([]journal.Image, error) {
	notes, err := t.journal.Images()
	if err != nil || len(notes) == 0 {
		return nil, err
	}
	stored, err := t.engine.Images(ctx)
	if err != nil {
		return nil, err
	}
	there := make(map[string]runtime.StoredImage, len(stored))
	for _, s := range stored {
		there[s.ID] = s
	}
	needed, err := t.needed(ctx, held)
	if err != nil {
		return nil, err
	}
	var unused []journal.Image
	var used, gone []string
	for _, n := range notes {
		s, ok := there[n.ID]
		switch {
		case !ok:
			gone = append(gone, n.ID)
		case s.Used || needed[n.ID]:
			used = append(used, n.ID)
		case slices.ContainsFunc(s.Tags, func(tag string) bool { return !slices.Contains(n.Names, tag) }):
			// Somebody has named it, too: it is his as well.
		default:
			unused = append(unused, n)
		}
	}
	slices.SortStableFunc(unused, func(a, b journal.Image) int { return a.Used.Compare(b.Used) })
	return unused, t.journal.ImagesUsed(t.now().UTC(), used, gone)
}

// needed are the ids of the images that something held names, or a pull that is
// under way.
func (t *Tidy) needed(ctx context.Context, held func() []string) (map[string]bool, error) {
	references := held()
	t.mu.Lock()
	for reference := range t.pulls {
		references = append(references, reference)
	}
	t.mu.Unlock()
	slices.Sort(references)
	ids := map[string]bool{}
	for _, reference := range slices.Compact(references) {
		image, err := t.engine.Image(ctx, reference)
		switch reason := runtime.ReasonOf(err); {
		case err == nil:
			ids[image.ID] = true
		case reason != runtime.ImageMissing && reason != runtime.BadReference:
			return nil, err
		}
	}
	return ids, nil
}

// low says whether the engine's filesystem is too full. An engine that doesn't
// know its size is never.
func (t *Tidy) low(ctx context.Context) (bool, error) {
	info, err := t.engine.Info(ctx)
	if err != nil {
		return false, err
	}
	return info.StorageBytes > 0 && info.StorageFree < info.StorageBytes/100*t.free, nil
}

// remove takes one image away, unless something has begun to need it since.
func (t *Tidy) remove(ctx context.Context, i journal.Image, held func() []string) error {
	if err := t.removing.enter(ctx); err != nil {
		return err
	}
	defer t.removing.leave()
	ctx, cancel := context.WithTimeout(ctx, removeWithin)
	defer cancel()
	needed, err := t.needed(ctx, held)
	if err != nil {
		return err
	}
	if needed[i.ID] {
		return nil // the next pass notes it
	}
	now := t.now().UTC()
	switch err := t.engine.RemoveImage(ctx, i.ID); {
	case runtime.ReasonOf(err) == runtime.Conflict: // a container that has just been made, or an image made of it
		return t.journal.ImagesUsed(now, []string{i.ID}, nil)
	case err != nil:
		return err
	}
	t.log.Info("an image that nothing uses was cleared", "names", i.Names, "last_used", i.Used)
	return t.journal.ImagesUsed(now, nil, []string{i.ID})
}

// gate lets one through at a time.
type gate chan struct{}

func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g gate) leave() { <-g }

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
