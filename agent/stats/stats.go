package stats

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/agent/instance"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// Instances say what runs (agent/instance).
type Instances interface {
	Running(list []instance.Up) []instance.Up
	Holds(id ident.Instance) bool
}

// Engine is asked where a container's first process is, and for what the kernel
// doesn't show here.
type Engine interface {
	Inspect(ctx context.Context, id runtime.ContainerID) (runtime.Container, error)
	Stats(ctx context.Context, id runtime.ContainerID) (runtime.Usage, error)
}

// Disks know what the volumes hold (agent/volume), in bytes; a limit of 0 is none.
type Disks interface {
	Usage(id ident.Instance) (used, limit int64, err error)
}

// Options are what a Service works with; all are needed but Disks and Root.
type Options struct {
	Dir       string // of the histories; nobody else's
	Volumes   string // a directory on the filesystem of the volumes
	Instances Instances
	Engine    Engine
	Disks     Disks // nil: what volumes hold is not known
	Upgrade   func(w http.ResponseWriter, r *http.Request) (*websocket.Conn, error)
	Log       *slog.Logger
	Now       func() time.Time
	Root      string // stands before /proc and /sys; tests have a tree of their own
}

const (
	engineEvery  = 10 * time.Second // between two questions to the engine about one container
	watchedFor   = time.Minute      // that somebody looked makes it each second for so long
	listedAgain  = 5 * time.Second  // who asks for all samples again so soon looks at each
	asksAtOnce   = 4                // to the engine
	askWithin    = 10 * time.Second
	retryMost    = 30 * time.Second // between two tries to find a container's counters
	freshFor     = 30 * time.Second // so young a container's first sample has rates since its start
	leastSpan    = 50 * time.Millisecond
	disksEvery   = 10 * time.Second
	writeEvery   = time.Minute
	forgetsAfter = 10 * time.Minute // what a stopped instance's seconds are kept for
)

// source is where a container's counters come from.
type source int

const (
	unknown source = iota // its first process is yet to be found
	fromKernel
	fromEngine
)

// track is what is kept of one instance. Service.mu guards it; source, box and
// pace are the sampling goroutine's own.
type track struct {
	up      instance.Up
	running bool
	ended   time.Time // when it was last seen running
	pid     int       // 0: not known
	before  int       // in the life before
	counted bool      // the counters went on from that one
	asking  bool      // a question to the engine is under way
	askAt   time.Time // not before
	wait    time.Duration
	watched time.Time // somebody looked then
	last    runtime.Usage
	newest  wire.Sample
	rated   bool // newest has rates
	disk    holding
	diskAt  time.Time // when that was measured
	series  series

	source source
	box    box
}

// holding is what a volume holds, and may.
type holding struct{ used, limit int64 }

// Service samples, keeps histories and answers about them. Its methods are safe
// for concurrent use, before, while and after Run runs.
type Service struct {
	Options
	kernel  *kernel
	machine *machine
	files   *files
	asks    chan struct{}
	asked   sync.WaitGroup
	stopped chan struct{} // closed when Run ends

	mu         sync.Mutex
	tracks     map[ident.Instance]*track
	node       wire.NodeSample
	listed     time.Time     // somebody asked for all samples then
	watched    time.Time     // somebody looked at the node then, or it was begun with
	history    series        // the node's
	round      chan struct{} // closed when the next samples are there
	lives      int
	complained bool // that histories can't be written
}

// New makes the directory; nothing happens before Run.
func New(o Options) (*Service, error) {
	files, err := openFiles(o.Dir)
	if err != nil {
		return nil, err
	}
	k := openKernel(o.Root, o.Now)
	return &Service{
		Options: o, kernel: k, machine: &machine{k: k, volumes: o.Volumes}, files: files,
		asks: make(chan struct{}, asksAtOnce), stopped: make(chan struct{}),
		tracks: map[ident.Instance]*track{}, round: make(chan struct{}), watched: o.Now(),
	}, nil
}

// Close frees what New opened; after Run, when it ran.
func (s *Service) Close() error { return s.files.close() }

// Run samples until ctx ends, and has written all histories when it returns. Call
// it once.
func (s *Service) Run(ctx context.Context) {
	defer close(s.stopped)
	var keeping sync.WaitGroup
	keeping.Go(func() { s.keep(ctx) })
	for s.untilNext(ctx) {
		s.sample(ctx)
	}
	keeping.Wait()
	s.asked.Wait()
	s.mu.Lock()
	for _, t := range s.tracks {
		t.series.end()
	}
	s.history.end()
	s.mu.Unlock()
	s.write()
}

// untilNext waits for the middle of the next second: rounds at its beginning
// would now and then fall into the one before, and leave theirs empty.
func (s *Service) untilNext(ctx context.Context) bool {
	now := s.Now()
	timer := time.NewTimer(now.Truncate(time.Second).Add(1500 * time.Millisecond).Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// keep measures volumes and writes histories until ctx ends.
func (s *Service) keep(ctx context.Context) {
	disks, writes := time.NewTicker(disksEvery), time.NewTicker(writeEvery)
	defer disks.Stop()
	defer writes.Stop()
	s.sweep() // what went while no agent ran
	for {
		s.measureDisks(ctx)
		select {
		case <-disks.C:
		case <-writes.C:
			s.write()
			s.sweep()
		case <-ctx.Done():
			return
		}
	}
}

// measureDisks asks for the volumes of all that runs, one by one: a driver may
// have to walk through files.
func (s *Service) measureDisks(ctx context.Context) {
	if s.Disks == nil {
		return
	}
	s.mu.Lock()
	var ids []ident.Instance
	for id, t := range s.tracks {
		if t.running {
			ids = append(ids, id)
		}
	}
	s.mu.Unlock()
	for _, id := range ids {
		if ctx.Err() != nil {
			return
		}
		measured := s.measure(id)
		s.mu.Lock()
		if t := s.tracks[id]; t != nil {
			t.disk, t.diskAt = measured, s.Now()
		}
		s.mu.Unlock()
	}
}

func (s *Service) measure(id ident.Instance) holding {
	if s.Disks == nil {
		return holding{used: -1}
	}
	used, limit, err := s.Disks.Usage(id)
	if err != nil {
		return holding{used: -1}
	}
	return holding{used, limit}
}

// write writes the histories' finished points, and forgets what is over.
func (s *Service) write() {
	now := s.Now()
	s.mu.Lock()
	ids := make([]ident.Instance, 0, len(s.tracks))
	for id, t := range s.tracks {
		ids = append(ids, id)
		if !t.running && now.Sub(t.ended) > forgetsAfter && t.series.written() {
			delete(s.tracks, id)
		}
	}
	s.mu.Unlock()
	err := s.writeOne(nodeName, func() *series { return &s.history })
	for _, id := range ids {
		err = errors.Join(err, s.writeOne(nameOf(id), func() *series {
			if t := s.tracks[id]; t != nil && s.Instances.Holds(id) {
				return &t.series
			}
			return nil
		}))
	}
	s.mu.Lock()
	first := err != nil && !s.complained
	s.complained = err != nil
	s.mu.Unlock()
	if first { // a full disk is full each minute
		s.Log.Warn("histories can't be written", "error", err)
	}
}

// writeOne writes one series, which find gives under the mutex.
func (s *Service) writeOne(name string, find func() *series) error {
	s.mu.Lock()
	var points [2][]point
	if h := find(); h != nil {
		points = h.take()
	}
	s.mu.Unlock()
	if len(points[0])+len(points[1]) == 0 {
		return nil
	}
	err := s.files.write(name, points)
	if err != nil {
		s.mu.Lock()
		if h := find(); h != nil {
			h.putBack(points)
		}
		s.mu.Unlock()
	}
	return err
}

// sweep drops what belongs to no instance any more.
func (s *Service) sweep() {
	s.mu.Lock()
	for id, t := range s.tracks {
		if !t.running && !s.Instances.Holds(id) {
			delete(s.tracks, id)
		}
	}
	s.mu.Unlock()
	if err := s.files.sweep(s.Instances.Holds); err != nil {
		s.Log.Warn("histories of removed instances could not be cleared", "error", err)
	}
}
