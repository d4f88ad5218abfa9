package volume

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"time"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	// A volume counts as full with no more than this free, or than one part in
	// fullShare of a small one: a write that needs room in one piece fails earlier.
	fullLeft  = 1 << 20
	fullShare = 32
)

// Usage is what an instance's volume holds, and may hold, in bytes. It costs next
// to nothing and may be asked each second: of a plain directory it is what the
// last walk has counted, with what the agent has written since; 0 before the first.
// ErrNone is among the failures; limit is 0 where there is none.
func (s *Store) Usage(id ident.Instance) (used, limit int64, err error) {
	if err := check(id); err != nil {
		return 0, 0, err
	}
	p, err := s.find(id, string(id))
	if err != nil {
		return 0, 0, err
	}
	d, err := s.driverOf(p.layout)
	if err != nil {
		return 0, 0, err
	}
	return d.usage(p)
}

// Room is asked before an agent's writer writes that many bytes into an instance's
// volume. A refusal is a problem, INSUFFICIENT_RESOURCES, that says what to do.
// Where the limit is hard it may still be met in the writing; see Explain.
func (s *Store) Room(id ident.Instance, bytes int64) error {
	used, limit, err := s.Usage(id)
	if err != nil || limit == 0 {
		return nil //nolint:nilerr // what isn't known refuses nothing; ENOSPC does
	}
	e := s.entry(id)
	if used+bytes > limit {
		if e.doubt() {
			s.wake() // something may have been deleted since the last walk
		}
		return full(limit, nil)
	}
	e.charge(bytes)
	return nil
}

// Explain makes what a writer met when the volume was full a problem that says
// so, or that it holds as many files as it can; any other failure stays what it is,
// and so does one on a volume without a limit, but for files.ErrMany. It is asked
// before what was written is cleared away.
func (s *Store) Explain(id ident.Instance, err error) error {
	if err == nil || !files.Full(err) {
		return err
	}
	p, asked := s.find(id, string(id))
	if asked != nil {
		return err
	}
	if root, opened := s.open(p.inside()); opened == nil {
		err = root.Crowded(err)
		_ = root.Close()
	}
	_, limit, asked := s.Usage(id)
	if asked != nil || limit == 0 {
		return err
	}
	return full(limit, err)
}

// Disk is how an instance's volume is held, and how full it is; nil when there is
// none, or when nobody can say.
func (s *Store) Disk(id ident.Instance) *wire.Disk {
	if !id.Valid() {
		return nil
	}
	p, err := s.find(id, string(id))
	if err != nil {
		return nil
	}
	d, err := s.driverOf(p.layout)
	if err != nil {
		return nil
	}
	disk := &wire.Disk{Driver: p.Driver, Hard: hard(p.Driver), LimitBytes: p.LimitBytes, Convert: s.convertible(p)}
	disk.WantBytes, disk.Message = s.entry(id).noted()
	if used, limit, err := d.usage(p); err == nil && limit > 0 {
		left := int64(0)
		if disk.Hard {
			left = min(fullLeft, limit/fullShare)
		}
		disk.Full = limit-used <= left
	}
	return disk
}

// Node is how this node holds disk limits. The answer is the one of before until
// something changed that matters.
func (s *Store) Node() *wire.Volumes {
	v := &wire.Volumes{Driver: s.chosen, Hard: hard(s.chosen), Message: s.why}
	if r, err := s.room(); err == nil {
		v.SizeBytes, v.FreeBytes, v.ReserveBytes = r.size, r.free, r.reserve
		if r.free <= r.reserve {
			v.Message = "the disk is down to its reserve: no volume is made or grows until something is deleted"
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	const matters = 50 // one part in so many of the disk
	if old := s.node; old != nil && old.Driver == v.Driver && old.Message == v.Message && old.SizeBytes == v.SizeBytes {
		if moved := old.FreeBytes - v.FreeBytes; max(moved, -moved) < v.SizeBytes/matters {
			return old
		}
	}
	s.node = v
	return v
}

const (
	// A walk rests after so many entries, for as long as they took, and gives up
	// counting at the most: a volume with more is said to hold what was counted.
	walkPiece = 500
	walkMost  = 2_000_000
	// A directory is walked again after the least, or restShare times what the
	// last walk took: one part in that many of a processor at most.
	walkLeast = 5 * time.Minute
	walkShare = 50
)

// rest is how long after a walk the next one is due.
func (f figure) rest() time.Duration {
	if f.doubted { // somebody waits for it
		return walkShare * f.took
	}
	return max(walkLeast, walkShare*f.took)
}

// count walks a plain directory, slowly.
func (s *Store) count(ctx context.Context, p place) (bytes int64, err error) {
	s.walking.Lock()
	defer s.walking.Unlock()
	root, err := s.open(p.inside())
	if err != nil {
		return 0, err
	}
	defer func() { _ = root.Close() }()
	w, err := root.Walk("")
	if err != nil {
		return 0, err
	}
	defer w.Close()
	began := s.now()
	for n := 1; n <= walkMost; n++ {
		info, err := w.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if problem.Is(err, problem.Validation) {
			continue // what lies too deep is passed over: one such folder must not hide all the rest
		}
		if err != nil {
			return bytes, err
		}
		bytes += takes(info)
		if n%walkPiece == 0 {
			if err := pause(ctx, s.now().Sub(began)); err != nil {
				return bytes, err
			}
			began = s.now()
		}
	}
	return bytes, nil
}

// recount walks one plain directory when it is due.
func (s *Store) recount(ctx context.Context, id ident.Instance) {
	p, err := s.find(id, string(id))
	if err != nil || p.Driver != wire.VolumeDirectory || p.LimitBytes == 0 {
		return
	}
	e := s.entry(id)
	last, began := e.figure(), s.now()
	if last.known && began.Sub(last.at) < last.rest() {
		return
	}
	bytes, err := s.count(ctx, p)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		s.log.Debug("a volume can't be counted", "instance", string(id), "error", err)
		return
	}
	ended := s.now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.walked = figure{known: true, bytes: bytes, at: ended, took: ended.Sub(began)}
}

// pause waits; it returns early with the context's error.
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

// each lists the volumes that are at home here.
func (s *Store) each(visit func(place)) error {
	open, err := s.root.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = open.Close() }()
	names, err := open.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		id := ident.Instance(name)
		if !id.Valid() {
			continue
		}
		if p, err := s.find(id, filepath.Join(name)); err == nil {
			visit(p)
		}
	}
	return nil
}
