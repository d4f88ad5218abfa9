package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Order is what an instance's volume should be.
type Order struct {
	LimitBytes int64 // 0 leaves it
	Convert    bool  // a plain directory becomes what the node's driver makes
	Live       bool  // a container uses it
	Report     func(wire.Progress)
	// Free ends those who have its files open, when nothing but they stand in the
	// way; it is called without a lock, once at most. nil: they may go on, and the
	// change waits.
	Free func()
}

// fits is the share of an image that files can have, the rest is the
// filesystem's own.
const fits = 0.95

// Settle makes the volume what it should be, as far as that can be done now; what
// can't is kept for the next time, and Disk says so. It fails only when the volume
// can't be used. Without a volume it does nothing.
func (s *Store) Settle(ctx context.Context, id ident.Instance, o Order) error {
	if err := check(id); err != nil {
		return err
	}
	if o.Report == nil {
		o.Report = func(wire.Progress) {}
	}
	err := s.settleOnce(ctx, id, o)
	if o.Free != nil && errors.Is(err, errInUse) {
		o.Free()
		o.Free = nil // whoever came back meanwhile may stay
		err = s.settleOnce(ctx, id, o)
	}
	return err
}

// settleOnce is Settle; it fails with errInUse when Free would help.
func (s *Store) settleOnce(ctx context.Context, id ident.Instance, o Order) error {
	e := s.entry(id)
	e.work.Lock()
	defer e.work.Unlock()
	p, err := s.find(id, string(id))
	if errors.Is(err, ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	if o.Live {
		return s.settleLive(ctx, e, p, o)
	}
	if err := s.ready(ctx, p); err != nil {
		return err
	}
	s.tidy(p)
	want, err := s.settleStopped(ctx, e, p, o)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if o.Free != nil && errors.Is(err, errInUse) {
		return errInUse
	}
	e.note(want, "")
	if err != nil {
		s.log.Warn("a volume stays as it is", "instance", string(id), "error", err)
		e.note(want, sentence(err))
	}
	return nil
}

// settleLive does what a running container doesn't notice.
func (s *Store) settleLive(ctx context.Context, e *entry, p place, o Order) error {
	if p.images() {
		if m, there, err := mountAt(filepath.Join(s.dir, p.at, p.mount)); err == nil && there && m.broken() {
			e.note(0, "the disk has stopped after an error: stop and start the instance to have it repaired")
			return nil
		}
	}
	switch want, _ := e.noted(); {
	case o.Convert && s.convertible(p):
		e.note(0, "it is converted at the next stop")
		return nil
	case o.LimitBytes <= 0 || o.LimitBytes == p.LimitBytes:
		e.note(0, "")
		return nil
	case want == o.LimitBytes:
		return nil // it was tried
	case o.LimitBytes < p.LimitBytes && p.images():
		e.note(o.LimitBytes, "it gets smaller at the next stop, when what it holds fits")
		return nil
	}
	switch err := s.resize(ctx, p, o.LimitBytes, true); {
	case err == nil:
		e.note(0, "")
	case errors.Is(err, errLater):
		e.note(o.LimitBytes, "it grows at the next stop")
	default:
		e.note(o.LimitBytes, sentence(err))
	}
	return nil
}

// settleStopped gives the limit that still waits, and why.
func (s *Store) settleStopped(ctx context.Context, e *entry, p place, o Order) (want int64, err error) {
	limit := o.LimitBytes
	if limit <= 0 {
		limit = p.LimitBytes
	}
	switch {
	case o.Convert && s.convertible(p) && limit > 0:
		return 0, s.replace(ctx, e, p, s.fresh(limit), o.Report)
	case limit == p.LimitBytes:
		return 0, nil
	case limit < p.LimitBytes && p.images():
		to := s.fresh(limit)
		if !to.images() { // the node makes no images any more
			to.Driver, to.Image, to.Pool = p.Driver, s.newImage(), p.Pool
		}
		err = s.replace(ctx, e, p, to, o.Report)
	default:
		o.Report(wire.Progress{Step: "grow", Percent: -1, Message: fmt.Sprintf("Making the disk %d MiB large", limit>>20)})
		err = s.grown(ctx, e, p, limit)
	}
	if err != nil {
		want = limit
	}
	return want, err
}

// grown keeps everybody out: growing may need an unmounted volume.
func (s *Store) grown(ctx context.Context, e *entry, p place, limit int64) error {
	open, ok := e.shut()
	if !ok {
		return errInUse
	}
	defer open()
	return s.resize(ctx, p, limit, false)
}

func (s *Store) resize(ctx context.Context, p place, limit int64, live bool) error {
	d, err := s.driverOf(p.layout)
	if err != nil {
		return err
	}
	if p.Driver != wire.VolumeDirectory && limit > p.LimitBytes {
		if err := s.admit("a larger disk"); err != nil {
			return err
		}
	}
	if used, _, err := d.usage(p); p.Driver == wire.VolumeProject && err == nil && used > limit {
		return tooSmall(used, limit)
	}
	if err := d.grow(ctx, p, limit, live); err != nil {
		return err
	}
	p.LimitBytes = limit
	return s.commit(p)
}

func tooSmall(used, limit int64) error {
	return problem.New(problem.InsufficientResources, "it holds %d MiB, which don't fit into %d MiB: delete files first", used>>20, limit>>20)
}

// convertible says whether a volume is a plain directory on a node that could
// hold its limit.
func (s *Store) convertible(p place) bool {
	return p.Driver == wire.VolumeDirectory && hard(s.chosen)
}

// tidy takes away what a replacement that was broken off left: all that the
// record doesn't name.
func (s *Store) tidy(p place) {
	if p.LimitBytes == 0 { // nothing was ever begun
		return
	}
	entries, err := fs.ReadDir(s.root.FS(), p.at)
	if err != nil {
		return
	}
	for _, entry := range entries {
		name := entry.Name()
		switch {
		case name == next, (name == data || name == scratch) && p.images(), strings.HasPrefix(name, imageFront) && (p.Pool || name != p.Image):
			if err := s.discard(filepath.Join(p.at, name)); err != nil {
				s.log.Warn("what a change of a volume left can't be removed", "instance", string(p.id), "error", err)
			}
			s.wake()
		}
	}
}

// discard removes one thing of a volume's directory, mounted or not.
func (s *Store) discard(name string) error {
	path := filepath.Join(s.dir, name)
	if err := leave(path); err != nil {
		return err
	}
	guard(path, false)
	err := s.root.RemoveAll(name)
	if err != nil {
		s.loosen(name)
		err = s.root.RemoveAll(name)
	}
	return err
}

// leave ends a mount for good: one that is in use goes with its last user.
func leave(point string) error {
	if err := unmount(point, false); err == nil {
		return nil
	}
	return unmount(point, true)
}

// forgetTries removes what trying left when the agent was killed at it.
func (s *Store) forgetTries() {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".try-") {
			_ = leave(filepath.Join(s.dir, entry.Name(), mountPoint))
			guard(filepath.Join(s.dir, entry.Name(), mountPoint), false)
			_ = s.root.RemoveAll(entry.Name())
		}
	}
}

// dropOrphans removes images of the pool that no record names. It is done at the
// start, before anything makes new ones; a record that can't be read stops it.
func (s *Store) dropOrphans() {
	if !s.pooled {
		return
	}
	named := map[string]bool{}
	for _, dir := range []string{".", staging, trash} {
		entries, err := fs.ReadDir(s.root.FS(), dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return
		}
		for _, entry := range entries {
			if !ident.Instance(entry.Name()).Valid() && (dir != trash || !strings.HasPrefix(entry.Name(), volumeFront)) {
				continue
			}
			p, err := s.find("", filepath.Join(dir, entry.Name()))
			if err != nil && !errors.Is(err, ErrNone) {
				s.log.Warn("a volume's record can't be read: nothing of the pool is cleared up", "entry", entry.Name(), "error", err)
				return
			}
			named[p.Image] = true
		}
	}
	entries, err := os.ReadDir(filepath.Join(s.dir, poolImages))
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !named[entry.Name()] {
			s.log.Info("an image that no volume names is removed", "image", entry.Name())
			_ = os.Remove(filepath.Join(s.dir, poolImages, entry.Name()))
		}
	}
}

// sentence is why something was not done, for people.
func sentence(err error) string {
	var p *problem.Problem
	switch {
	case errors.As(err, &p):
		return p.Message
	case errors.Is(err, errInUse):
		return "its files are in use; it is tried again at the next stop"
	case errors.Is(err, errLater):
		return "it waits for the next stop"
	default:
		return "the volume could not be changed; the agent's log says why"
	}
}
