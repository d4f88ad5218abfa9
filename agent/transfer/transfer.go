package transfer

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/agent/volume"
	"github.com/berth-panel/berth/shared/guard"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Volumes are where the files are (agent/volume). Parts is scratch room on the
// filesystem of the same volume, outside of what its container sees. Usage is what
// the volume holds and may hold, in bytes; a limit of 0 is none. Room asks for
// room before something is written, and counts it; its refusal is a problem.
type Volumes interface {
	Files(id ident.Instance) (*files.Root, error)
	Parts(id ident.Instance) (*files.Root, error)
	Usage(id ident.Instance) (used, limit int64, err error)
	Room(id ident.Instance, bytes int64) error
}

// Instances are those of this node (agent/instance). Both fail with NOT_FOUND for
// one that it doesn't have; Writable with CONFLICT while nobody may write.
type Instances interface {
	Spec(id ident.Instance) (wire.Spec, error)
	Writable(id ident.Instance) error
}

// Options are what a Store works with. All are needed but Allowed.
type Options struct {
	Volumes   Volumes
	Instances Instances
	All       func() []ident.Instance // of this node; asked now and then
	Allowed   []netip.Prefix          // private networks that pulls may download from
	Log       *slog.Logger
	Now       func() time.Time
}

const (
	tasksAtOnce    = 4 // of the node
	tasksOfOne     = 2 // of an instance, at once
	tasksKept      = 200
	taskKept       = time.Hour
	foldersAtOnce  = 4 // folders that are being sorted
	searchesAtOnce = 4
	tidyEvery      = 10 * time.Minute
	tidyAll        = 144 // rounds: a day
)

// Store is the file service. Its methods are safe for concurrent use, and tasks
// run while Run does.
type Store struct {
	Options
	client   *http.Client
	working  gate
	folders  gate
	searches gate
	stall    time.Duration // that a server may bring nothing
	buffers  chunks

	ready   chan struct{} // closed when base is there
	base    context.Context
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool // no more tasks
	yards  map[ident.Instance]*yard
}

// New makes a Store.
func New(o Options) *Store {
	return &Store{
		Options: o, client: guard.Client(o.Allowed), stall: time.Minute, ready: make(chan struct{}),
		working: make(gate, tasksAtOnce), folders: make(gate, foldersAtOnce), searches: make(gate, searchesAtOnce),
		yards: map[ident.Instance]*yard{},
	}
}

// Run lets tasks run and clears away what nobody comes back for, until ctx ends;
// it returns when the tasks have ended. Call it once.
func (s *Store) Run(ctx context.Context) {
	s.base = ctx
	close(s.ready)
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for round := 1; ctx.Err() == nil; round++ {
		select {
		case <-tick.C:
			s.tidy(round%tidyAll == 0) // opening a volume may mount it: rarely
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
	s.client.CloseIdleConnections()
}

// spawn runs a task's work; false when the agent ends.
func (s *Store) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Go(f)
	return true
}

// forget drops what is known of an instance that this node doesn't have any more.
func (s *Store) forget(id ident.Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	y := s.yards[id]
	if y == nil {
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	if len(y.stays) == 0 {
		delete(s.yards, id)
	}
}

// yard is what is known of one instance.
type yard struct {
	// placing is held while something is compared and put in place.
	placing sync.Mutex
	working gate

	mu      sync.Mutex
	cleared bool // the parts that an agent of before left
	tasks   map[string]*task
	uploads map[string]*upload
	// finished are those of uploads that are remembered for who asks again.
	finished []*upload
	calls    map[*call]struct{} // under way
	stays    map[stay]struct{}  // of calls, tasks and tidying
	trash    []wire.Path        // parts whose removal was broken off
}

// stay lasts while somebody has an instance's files open, and is closed then.
type stay chan struct{}

func (s *Store) yard(id ident.Instance) *yard {
	s.mu.Lock()
	defer s.mu.Unlock()
	y := s.yards[id]
	if y == nil {
		y = &yard{working: make(gate, tasksOfOne), tasks: map[string]*task{}, uploads: map[string]*upload{}, calls: map[*call]struct{}{}, stays: map[stay]struct{}{}}
		s.yards[id] = y
	}
	return y
}

// Cut ends all calls and tasks of an instance, with reason as their failure, and
// returns when those have no file of it open any more. New ones may come at once,
// and nobody waits for them, or somebody who reads again and again would hold Cut:
// what makes Instances.Writable refuse writers comes before.
func (s *Store) Cut(id ident.Instance, reason *problem.Problem) {
	y := s.yard(id)
	y.mu.Lock()
	for c := range y.calls {
		c.cancel(reason)
	}
	for _, t := range y.tasks {
		t.cancel(reason)
	}
	stays := slices.Collect(maps.Keys(y.stays))
	y.mu.Unlock()
	for _, s := range stays {
		<-s
	}
}

func (y *yard) enter() stay {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.admit()
}

// admit is enter for who holds mu.
func (y *yard) admit() stay {
	s := make(stay)
	y.stays[s] = struct{}{}
	return s
}

func (y *yard) leave(s stay) {
	y.mu.Lock()
	defer y.mu.Unlock()
	delete(y.stays, s)
	close(s)
}

// site is an instance's volume, open.
type site struct {
	*Store
	id    ident.Instance
	yard  *yard
	data  *files.Root
	parts *files.Root // nil in one that is only read
	uid   int         // the owner of what is new
	gid   int
}

// open opens a volume for reading.
func (s *Store) open(id ident.Instance) (*site, error) {
	if _, err := s.Instances.Spec(id); err != nil {
		return nil, err
	}
	data, err := s.Volumes.Files(id)
	if errors.Is(err, volume.ErrNone) {
		return nil, problem.New(problem.Conflict, "the instance has no files yet: its first installation makes them").Because(err)
	}
	if err != nil {
		return nil, err
	}
	self, err := data.Lstat(wire.Root)
	if err != nil {
		_ = data.Close()
		return nil, err
	}
	return &site{Store: s, id: id, yard: s.yard(id), data: data, uid: self.UID, gid: self.GID}, nil
}

// openParts opens a volume for writing, when that is allowed.
func (s *Store) openParts(id ident.Instance) (*site, error) {
	if err := s.Instances.Writable(id); err != nil {
		return nil, err
	}
	at, err := s.open(id)
	if err != nil {
		return nil, err
	}
	if at.parts, err = s.Volumes.Parts(id); err != nil {
		at.close()
		return nil, err
	}
	if err := at.clear(); err != nil {
		at.close()
		return nil, at.explain(err, "")
	}
	return at, nil
}

func (s *site) close() {
	_ = s.data.Close()
	if s.parts != nil {
		_ = s.parts.Close()
	}
}

func (s *site) writable() error { return s.Instances.Writable(s.id) }

// meta is that of a new entry.
func (s *site) meta(mode uint32) files.Meta {
	return files.Meta{Mode: mode & 0o777, UID: s.uid, GID: s.gid, MTime: s.Now().UnixNano()}
}

// explain makes a failure one for people. path may be "".
func (s *site) explain(err error, path wire.Path) error {
	var p *problem.Problem
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p), errors.Is(err, context.Canceled):
		return err
	case files.Full(err):
		return s.full(err)
	}
	name := printable(path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return problem.New(problem.Conflict, "%s is there already", name).Because(err)
	case errors.Is(err, files.ErrKind):
		return problem.New(problem.Validation, "%s is of a kind that this can't be done with: links, pipes, sockets and devices are never opened", name).Because(err)
	case files.NotFound(err):
		return problem.New(problem.NotFound, "%s is not there", name).Because(err)
	case files.Gone(err):
		return problem.New(problem.Conflict, "the way to %s leads through a link or a file, which is never followed", name).Because(err)
	case files.Impossible(err):
		return problem.New(problem.Validation, "%s can't be used for that", name).Because(err)
	case errors.Is(err, fs.ErrPermission):
		return problem.New(problem.Conflict, "%s is protected against this", name).Because(err)
	}
	return err
}

func (s *site) full(cause error) error {
	_, limit, err := s.Volumes.Usage(s.id)
	if err != nil || limit <= 0 {
		return problem.New(problem.InsufficientResources, "the disk of the node %s", files.Fullness(cause)).Because(cause)
	}
	return problem.New(problem.InsufficientResources, "the disk of this instance %s (%d MiB): delete something, or have its limit raised", files.Fullness(cause), limit>>20).Because(cause)
}

// printable is a path as a message shows it.
func printable(path wire.Path) string {
	if path == "" {
		return "it"
	}
	text, _ := path.MarshalText() // can't fail
	if len(text) > 200 {
		text = append(text[:200:200], "…"...)
	}
	return string(text)
}

// gate lets a limited number through at a time.
type gate chan struct{}

func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g gate) leave() { <-g }
