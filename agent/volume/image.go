package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/berth-panel/berth/shared/problem"
)

const (
	blockSize    = 4096
	imageOptions = "errors=remount-ro,noinit_itable"
)

// imageDriver holds a volume as an ext4 filesystem in a file of the limit's
// size, beside the volume's record or in the pool.
type imageDriver struct{ s *Store }

// image is the path of the file.
func (d imageDriver) image(p place) string {
	if p.Pool {
		return filepath.Join(d.s.dir, poolImages, p.Image)
	}
	return filepath.Join(d.s.dir, p.at, p.Image)
}

func (d imageDriver) point(p place) string { return filepath.Join(d.s.dir, p.at, p.mount) }

// create makes the image whole before it is mounted. One that a broken-off try
// left is made anew.
func (d imageDriver) create(ctx context.Context, p place) error {
	if p.Pool {
		if err := d.s.openPool(); err != nil {
			return err
		}
	}
	if err := d.rest(p); err != nil {
		return err
	}
	if err := d.format(ctx, d.image(p), p.LimitBytes); err != nil {
		return err
	}
	if err := d.mount(ctx, p, false); err != nil {
		return err
	}
	if err := d.s.root.Mkdir(p.inside(), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make volume %s: %w", p.id, err)
	}
	return syncAll(d.point(p)) // the record will say that all of this is there
}

// format makes a sparse file with an empty filesystem.
func (d imageDriver) format(ctx context.Context, path string, bytes int64) error {
	_ = os.Remove(path)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make an image: %w", err)
	}
	err = file.Truncate(bytes / blockSize * blockSize)
	if err == nil {
		err = run(ctx, programExt4, "-q", "-F", "-b", strconv.Itoa(blockSize), "-m", "0", "-E", "root_owner=0:0", path)
	}
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		_ = os.Remove(path)
	}
	return err
}

// ready finds the volume mounted and sound, or mounts it.
func (d imageDriver) ready(ctx context.Context, p place) error {
	if p.Pool {
		if err := d.s.openPool(); err != nil {
			return err
		}
	}
	m, there, err := mountAt(d.point(p))
	if err != nil {
		return err
	}
	if there && !m.broken() {
		return d.hasData(p)
	}
	if there {
		d.s.log.Warn("a volume's filesystem stopped after an error and is repaired", "instance", string(p.id))
		if err := d.rest(p); err != nil {
			return problem.New(problem.ResourceBusy, "the instance's disk has stopped after an error and can't be repaired while its files are in use").Because(err)
		}
	}
	if _, err := os.Lstat(d.image(p)); errors.Is(err, fs.ErrNotExist) {
		return problem.New(problem.NotFound, "the image of the instance's disk is gone: restore a backup").Because(err)
	}
	if err := d.mount(ctx, p, true); err != nil {
		return err
	}
	return d.hasData(p)
}

func (d imageDriver) hasData(p place) error {
	err := d.s.plain(p)
	if errors.Is(err, ErrNone) { // it is made before the volume counts: somebody took it away
		return problem.New(problem.NotFound, "the instance's disk has no data folder: restore a backup")
	}
	return err
}

// mount attaches and mounts the image, and checks it before that when it was
// used before. A device that somebody has mounted, in a container that outlived
// its unmounting, is mounted again as it is: that is the same filesystem.
func (d imageDriver) mount(ctx context.Context, p place, check bool) error {
	point := d.point(p)
	if err := os.Mkdir(point, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make a mount point: %w", err)
	}
	guard(point, true)
	l, err := attach(d.image(p))
	if err != nil {
		return fmt.Errorf("attach volume %s: %w", p.id, err)
	}
	defer l.close() // the mount keeps it from here on
	if check && l.exclusive() {
		if err := repair(ctx, l.path); err != nil {
			return problem.New(problem.Internal, "the instance's disk is damaged beyond what can be repaired by itself: the agent's log says more").Because(err)
		}
	}
	return attemptMount(l.path, point, "ext4", imageOptions)
}

func (d imageDriver) rest(p place) error {
	if err := unmount(d.point(p), false); err != nil {
		if errors.Is(err, syscall.EBUSY) {
			return errInUse
		}
		return fmt.Errorf("unmount volume %s: %w", p.id, err)
	}
	return nil
}

// grow lets the file grow first: a filesystem that is smaller than its image is
// as good as before, so that it can break off anywhere.
func (d imageDriver) grow(ctx context.Context, p place, bytes int64, live bool) error {
	bytes = bytes / blockSize * blockSize
	if info, err := os.Lstat(d.image(p)); err != nil {
		return fmt.Errorf("look at the image of volume %s: %w", p.id, err)
	} else if info.Size() < bytes {
		if err := os.Truncate(d.image(p), bytes); err != nil {
			return fmt.Errorf("let the image of volume %s grow: %w", p.id, err)
		}
	}
	l, err := attach(d.image(p))
	if err != nil {
		return fmt.Errorf("attach volume %s: %w", p.id, err)
	}
	defer l.close()
	if err := l.refresh(); err != nil {
		return err
	}
	if growMounted(d.point(p), bytes) == nil {
		return nil
	}
	if live {
		return errLater
	}
	if err := d.rest(p); err != nil {
		return err
	}
	if !l.exclusive() {
		return errors.Join(errInUse, d.mount(ctx, p, false))
	}
	err = enlarge(ctx, l.path)
	return errors.Join(err, d.mount(ctx, p, true))
}

// usage counts what isn't free as used: the filesystem's own needs too.
func (d imageDriver) usage(p place) (used, limit int64, err error) {
	point := d.point(p)
	if !crossing(point, filepath.Dir(point)) {
		return 0, p.LimitBytes, errNotMounted
	}
	_, free, err := space(point)
	return max(0, p.LimitBytes-free), p.LimitBytes, err
}

var errNotMounted = errors.New("the volume is not mounted now")

func (d imageDriver) remove(p place) error {
	point := d.point(p)
	if err := leave(point); err != nil {
		return fmt.Errorf("unmount volume %s: %w", p.id, err)
	}
	guard(point, false)
	if p.Pool {
		if err := d.s.openPool(); err != nil {
			return err
		}
	}
	if err := os.Remove(d.image(p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the image of volume %s: %w", p.id, err)
	}
	return nil
}

func (d imageDriver) trim(p place) error {
	point := d.point(p)
	if !crossing(point, filepath.Dir(point)) {
		return nil
	}
	return trim(point)
}
