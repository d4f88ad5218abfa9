package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/problem"
)

// The pool is an XFS in a sparse file among the volumes, for nodes whose own
// filesystem can't share content between files.
const (
	poolDir    = ".pool"
	poolFile   = ".pool/pool.xfs"
	poolPoint  = ".pool/mount"
	poolImages = ".pool/mount/images"
	// poolLeast is the smallest pool that is worth it.
	poolLeast = 1 << 30
	// poolStep is how much a pool grows at least: each time costs a little for ever.
	poolStep = 1 << 30
	// The reserve, unless it is set: a share of the filesystem, but no more than most.
	reserveShare = 20
	reserveMost  = 16 << 30
)

// space is what the filesystem of a path holds, and what of it is free.
func space(path string) (size, free int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, fmt.Errorf("ask for the room on the disk: %w", err)
	}
	//nolint:unconvert // their types differ between machines
	return int64(st.Blocks) * int64(st.Bsize), int64(st.Bavail) * int64(st.Bsize), nil
}

// room is what there is for volumes: the images are sparse, and so is the pool,
// so that only what is really free counts, in the pool and below it.
type room struct{ size, free, reserve int64 }

func (s *Store) room() (room, error) {
	size, free, err := space(s.dir)
	if err != nil {
		return room{}, err
	}
	r := room{size: size, free: free, reserve: s.reserve}
	if r.reserve == 0 {
		r.reserve = min(size/reserveShare, reserveMost)
	}
	point := filepath.Join(s.dir, poolPoint)
	if s.pooled && crossing(point, filepath.Dir(point)) {
		inside, left, err := space(point)
		if err != nil {
			return room{}, err
		}
		r.size, r.free = inside+r.reserve, min(left+r.reserve, free) // the pool leaves the reserve outside of it
	}
	return r, nil
}

// admit refuses what would take room when the reserve is all that is left.
func (s *Store) admit(what string) error {
	r, err := s.room()
	if err != nil {
		return err
	}
	if r.free > r.reserve {
		return nil
	}
	return problem.New(problem.InsufficientResources,
		"the node's disk has %d MiB free and keeps %d MiB in reserve: %s needs more room, so delete something there or use another node",
		r.free>>20, r.reserve>>20, what)
}

// hasPool says whether a pool was made here.
func (s *Store) hasPool() bool {
	_, err := s.root.Lstat(poolFile)
	return err == nil
}

// openPool has the pool mounted, as after a reboot. XFS mends itself by mounting.
func (s *Store) openPool() error {
	s.pool.Lock()
	defer s.pool.Unlock()
	point := filepath.Join(s.dir, poolPoint)
	m, there, err := mountAt(point)
	if err != nil {
		return err
	}
	if there && m.broken() {
		return problem.New(problem.Internal, "the node's pool of volumes has stopped after an error of its disk: look at the kernel's log, then restart the node")
	}
	if there {
		return nil
	}
	l, err := attach(filepath.Join(s.dir, poolFile))
	if err != nil {
		return fmt.Errorf("attach the pool: %w", err)
	}
	defer l.close()
	guard(point, true)
	return attemptMount(l.path, point, "xfs", "")
}

// makePool makes the pool unless there is one, and opens it.
func (s *Store) makePool(ctx context.Context) error {
	if err := have(programXFS, programGrowXFS); err != nil {
		return err
	}
	if s.hasPool() {
		return s.openPool()
	}
	r, err := s.room()
	if err != nil {
		return err
	}
	if r.free-r.reserve < poolLeast {
		return fmt.Errorf("a pool needs %d MiB beside the reserve of %d MiB, and %d MiB are free", poolLeast>>20, r.reserve>>20, r.free>>20)
	}
	for _, dir := range []string{poolDir, poolPoint} {
		if err := s.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the pool: %w", err)
		}
	}
	if err := s.formatPool(ctx, (r.free-r.reserve)/blockSize*blockSize); err != nil {
		return fmt.Errorf("make the pool: %w", err)
	}
	if err := s.openPool(); err != nil {
		return err
	}
	if err := s.root.Mkdir(poolImages, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the pool: %w", err)
	}
	return nil
}

// formatPool makes the file whole under another name first.
func (s *Store) formatPool(ctx context.Context, bytes int64) error {
	half := poolFile + ".new"
	_ = s.root.Remove(half)
	file, err := s.root.OpenFile(half, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if err := file.Truncate(bytes); err != nil {
		return err
	}
	l, err := attach(filepath.Join(s.dir, half))
	if err != nil {
		return err
	}
	defer l.close()
	// On the device, not the file: its sectors may be larger than those of the file.
	if err := run(ctx, programXFS, "-q", "-m", "reflink=1", l.path); err != nil {
		_ = s.root.Remove(half)
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := s.root.Rename(half, poolFile); err != nil {
		return err
	}
	return s.settle(poolDir)
}

// growPool lets the pool have what the filesystem below has beside the reserve.
// It never shrinks.
func (s *Store) growPool(ctx context.Context) error {
	if !s.pooled {
		return nil
	}
	_, free, err := space(s.dir)
	if err != nil {
		return err
	}
	r, err := s.room()
	if err != nil {
		return err
	}
	path := filepath.Join(s.dir, poolFile)
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err
	}
	const sector = 512                                                     // the unit of st_blocks
	could := (st.Blocks*sector + free - r.reserve) / blockSize * blockSize //nolint:unconvert // differs between machines
	if could < st.Size+max(poolStep, st.Size/reserveShare) {
		return nil
	}
	if err := os.Truncate(path, could); err != nil {
		return fmt.Errorf("let the pool grow: %w", err)
	}
	l, err := attach(path)
	if err != nil {
		return fmt.Errorf("let the pool grow: %w", err)
	}
	defer l.close()
	if err := l.refresh(); err != nil {
		return err
	}
	return run(ctx, programGrowXFS, filepath.Join(s.dir, poolPoint))
}
