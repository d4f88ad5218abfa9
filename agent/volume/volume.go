package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Options are what a Store is opened with.
type Options struct {
	Dir string // made when it is missing
	// Driver is the kind of new volumes: Auto, or a wire.VolumeDriver that must
	// work; "" is a plain directory, for which nothing is tried or mounted.
	Driver  string
	Reserve int64            // bytes that stay free; 0 is a twentieth of the filesystem, at most 16 GiB
	Log     *slog.Logger     // nil discards
	Now     func() time.Time // nil is needed by nobody who doesn't Run
}

// Store is the directory of all volumes. Its methods are safe for concurrent
// use; what changes a volume waits for what else changes it.
type Store struct {
	root *os.Root
	dir  string
	lock *os.File // held while this Store is open, by one that mounts
	log  *slog.Logger
	now  func() time.Time
	// Privileged says whether the agent may give files to other users.
	Privileged bool

	chosen  wire.VolumeDriver
	pooled  bool   // the chosen driver's images lie in the pool
	why     string // it is no better driver
	reserve int64
	pool    sync.Mutex // one at a time mounts it
	walking sync.Mutex // one walk at a time
	due     chan struct{}
	base    context.Context // of what is finished once it is begun: a mount

	mu      sync.Mutex
	entries map[ident.Instance]*entry
	node    *wire.Volumes // as it was last told
}

// Open opens a store of plain directories; see OpenWith.
func Open(dir string) (*Store, error) {
	return OpenWith(Options{Dir: dir})
}

// OpenWith makes the directory when it is missing, and tries what kinds of
// volumes it can hold. Volumes of all kinds that are there can be used whatever
// is chosen. A directory has one such Store at a time, but for plain ones.
func OpenWith(o Options) (*Store, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("volumes: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the volumes: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // mounts are known by their real paths
		return nil, fmt.Errorf("open the directory of the volumes: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory of the volumes: %w", err)
	}
	s := &Store{
		root: root, dir: dir, log: o.Log, now: o.Now, Privileged: os.Geteuid() == 0, reserve: o.Reserve,
		due: make(chan struct{}, 1), base: context.Background(), //nolint:forbidigo // see base
		entries: map[ident.Instance]*entry{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.begin(o.Driver); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Store) begin(driver string) (err error) {
	if !Valid(driver) {
		return fmt.Errorf("volumes of the kind %q are not known", driver)
	}
	if driver != "" {
		if s.lock, err = lockDir(filepath.Join(s.dir, lockFile)); err != nil {
			return fmt.Errorf("another agent uses %s: %w", s.dir, err)
		}
		s.forgetTries()
	}
	if err := s.choose(s.base, driver); err != nil {
		return err
	}
	if s.lock != nil {
		s.dropOrphans()
	}
	return nil
}

// lockFile is held by the agent that mounts.
const lockFile = ".lock"

// Close frees the directory's handle. Mounts stay: containers use them.
func (s *Store) Close() error {
	var locked error
	if s.lock != nil {
		locked = s.lock.Close()
	}
	if err := errors.Join(s.root.Close(), locked); err != nil {
		return fmt.Errorf("close the volumes: %w", err)
	}
	return nil
}

// Path is the absolute path of an instance's data, for the engine's mount only:
// where it is, or will be once there is a volume. It is "" for an id of the
// wrong form. A path inside an image isn't there while it is not mounted, so
// that no container ever starts without its volume.
func (s *Store) Path(id ident.Instance) string {
	if !id.Valid() {
		return ""
	}
	p, err := s.find(id, string(id))
	if err != nil && p.Driver == "" || errors.Is(err, ErrNone) {
		p = home(id, layout{Driver: s.chosen})
	}
	return filepath.Join(s.dir, p.inside())
}

// Ensure makes a plain directory without a limit for the instance, unless it has
// a volume; see Make.
func (s *Store) Ensure(id ident.Instance) (created bool, err error) {
	return s.Make(s.base, id, 0)
}

// Make makes the instance's volume of limit bytes, with the node's driver, and
// has one that is there ready to be used: mounted, and repaired if it must be.
// created says that there was none. 0 bytes are a plain directory without a
// limit. Failures are *problem.Problem where people can do something about them.
func (s *Store) Make(ctx context.Context, id ident.Instance, limit int64) (created bool, err error) {
	if err := check(id); err != nil {
		return false, err
	}
	e := s.entry(id)
	e.work.Lock()
	defer e.work.Unlock()
	p, err := s.find(id, string(id))
	if err == nil {
		return false, s.ready(ctx, p)
	}
	if !errors.Is(err, ErrNone) {
		return false, err
	}
	if err := s.scrap(string(id)); err != nil {
		return false, fmt.Errorf("make volume %s: %w", id, err)
	}
	if err := s.create(ctx, home(id, s.fresh(limit))); err != nil {
		return false, fmt.Errorf("make volume %s: %w", id, err)
	}
	return true, nil
}

// create makes a volume in a place that is free; with its record it counts.
func (s *Store) create(ctx context.Context, p place) error {
	if p.Driver != wire.VolumeDirectory {
		if err := s.admit("a new volume"); err != nil {
			return err
		}
	}
	if err := s.root.Mkdir(p.at, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := s.driverOf(p.layout)
	if err != nil {
		return err
	}
	if err := d.create(ctx, p); err != nil {
		return errors.Join(err, d.remove(p))
	}
	if p.LimitBytes == 0 {
		return nil
	}
	return s.commit(p)
}

func (s *Store) ready(ctx context.Context, p place) error {
	d, err := s.driverOf(p.layout)
	if err != nil {
		return err
	}
	return d.ready(ctx, p)
}

// Has says whether the instance has a volume.
func (s *Store) Has(id ident.Instance) (bool, error) {
	if err := check(id); err != nil {
		return false, err
	}
	_, err := s.find(id, string(id))
	if errors.Is(err, ErrNone) {
		return false, nil
	}
	return err == nil, err
}

// Files opens an instance's data, which is mounted for it when it must be.
// ErrNone is among the failures; RESOURCE_BUSY while the volume is being changed.
func (s *Store) Files(id ident.Instance) (*files.Root, error) {
	if err := check(id); err != nil {
		return nil, err
	}
	e := s.entry(id)
	if err := e.enter(); err != nil {
		return nil, err
	}
	root, err := s.openHome(id)
	if err != nil {
		e.leave()
		return nil, err
	}
	root.OnClose(e.leave)
	return root, nil
}

func (s *Store) openHome(id ident.Instance) (*files.Root, error) {
	p, err := s.find(id, string(id))
	if err != nil {
		return nil, err
	}
	if err := s.mounted(p); err != nil {
		return nil, err
	}
	return s.open(p.inside())
}

// mounted has a volume that is an image mounted, as for a look into one that was
// not started since the node was.
func (s *Store) mounted(p place) error {
	point := filepath.Join(s.dir, p.at, p.mount)
	if !p.images() || crossing(point, filepath.Dir(point)) {
		return nil
	}
	e := s.entry(p.id)
	e.work.Lock()
	defer e.work.Unlock()
	return s.ready(s.base, p)
}

// Own gives the data directory itself, not what is in it, to a user and group.
func (s *Store) Own(id ident.Instance, uid, gid int) error {
	if err := check(id); err != nil {
		return err
	}
	p, err := s.find(id, string(id))
	if !s.Privileged {
		return nil
	}
	if err == nil {
		err = s.root.Lchown(p.inside(), uid, gid)
	}
	if err != nil {
		return fmt.Errorf("give volume %s to %d:%d: %w", id, uid, gid, err)
	}
	return nil
}

// OwnAll gives all that is in a volume to a user and group: what an installation
// has made as root. What belongs to them is left as it is; links are not followed.
// It may be broken off, and repeated.
func (s *Store) OwnAll(ctx context.Context, id ident.Instance, uid, gid int) error {
	if err := check(id); err != nil || !s.Privileged {
		return err
	}
	root, err := s.Files(id)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	err = walk(ctx, root, func(info files.Info) error {
		if info.UID == uid && info.GID == gid {
			return nil
		}
		return root.Own(info.Path, uid, gid)
	})
	if err != nil {
		return fmt.Errorf("give what is in volume %s to %d:%d: %w", id, uid, gid, err)
	}
	return nil
}

// Remove deletes the volume with everything in it; one that is gone is no error.
// No container may use it any more.
func (s *Store) Remove(id ident.Instance) error {
	if err := check(id); err != nil {
		return err
	}
	e := s.entry(id)
	e.work.Lock()
	defer e.work.Unlock()
	if err := s.scrap(string(id)); err != nil {
		return fmt.Errorf("remove volume %s: %w", id, err)
	}
	e.forget()
	s.wake()
	return nil
}

// scrap takes away all that lies in a directory of the store, mounts and images
// that belong to it included.
func (s *Store) scrap(at string) error {
	if _, err := s.root.Lstat(at); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, name := range []string{next, mountPoint} {
		point := filepath.Join(s.dir, at, name)
		if err := leave(point); err != nil {
			return err
		}
		guard(point, false)
	}
	if p, err := s.find("", at); err == nil || p.Driver != "" {
		if d, err := s.driverOf(p.layout); err == nil {
			if err := d.remove(p); err != nil {
				return err
			}
		}
	}
	err := s.root.RemoveAll(at)
	if err != nil {
		s.loosen(at)
		err = s.root.RemoveAll(at)
	}
	return err
}

func check(id ident.Instance) error {
	if !id.Valid() {
		return fmt.Errorf("%q is not an instance's id", string(id))
	}
	return nil
}

// busy is what a caller is told while a volume is changed.
func busy() error {
	return problem.New(problem.ResourceBusy, "the instance's disk is being changed; try again when that is done")
}
