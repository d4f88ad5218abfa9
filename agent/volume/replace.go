package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// replace gives the volume another layout: what it holds is copied beside it and
// compared, then the new record is written, and only then the old one's room is
// freed. Broken off before that moment, the old one counts and what was begun is
// thrown away; after it, the rest is tidied by the next Settle.
func (s *Store) replace(ctx context.Context, e *entry, p place, to layout, report func(wire.Progress)) error {
	open, ok := e.shut()
	if !ok {
		return errInUse
	}
	defer open()
	report(wire.Progress{Step: stepConvert, Percent: -1, Message: "Looking at what the disk holds"})
	total, err := s.measure(ctx, p)
	if err != nil {
		return err
	}
	if float64(total) > fits*float64(to.LimitBytes) {
		return tooSmall(total, to.LimitBytes)
	}
	target := home(p.id, to)
	if to.Driver == wire.VolumeProject {
		d := projectDriver{s}
		if err := d.hold(ctx, target); err != nil {
			return err
		}
		return s.commit(target)
	}
	if r, err := s.room(); err != nil {
		return err
	} else if r.free-total <= r.reserve {
		return problem.New(problem.InsufficientResources,
			"a copy of %d MiB is needed while the disk is changed, and the node has %d MiB free, of which %d MiB are its reserve", total>>20, r.free>>20, r.reserve>>20)
	}
	if err := s.fill(ctx, p, to, total, report); err != nil {
		return err
	}
	if err := (imageDriver{s}).ready(context.WithoutCancel(ctx), target); err != nil {
		return err
	}
	s.tidy(target)
	return nil
}

const stepConvert = "convert"

// fill makes the new volume beside the old one and has it count.
func (s *Store) fill(ctx context.Context, p place, to layout, total int64, report func(wire.Progress)) (err error) {
	d := imageDriver{s}
	beside := home(p.id, to)
	beside.mount = next
	if err := s.discard(filepath.Join(p.at, next)); err != nil { // of a try that was broken off
		return err
	}
	unsure := false
	defer func() {
		if err != nil && !unsure {
			err = errors.Join(err, d.remove(beside), s.discard(filepath.Join(p.at, next)))
		}
	}()
	if err := d.create(ctx, beside); err != nil {
		return err
	}
	if err := s.carry(ctx, p, beside, total, report); err != nil {
		return err
	}
	old, err := s.driverOf(p.layout)
	if err != nil {
		return err
	}
	for _, rest := range []func() error{func() error { return d.rest(beside) }, func() error { return old.rest(p) }} {
		if err := rest(); err != nil {
			return err
		}
	}
	if err := s.commit(home(p.id, to)); err != nil {
		// Nobody can say which record is on the disk: both volumes stay, and the next
		// Settle tidies what the record doesn't name.
		unsure = true
		return errors.Join(err, s.ready(context.WithoutCancel(ctx), p))
	}
	if p.images() {
		if err := os.Remove(d.image(p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("an image that was replaced can't be removed yet", "instance", string(p.id), "error", err)
		}
	}
	return nil
}

// carry copies and compares, and puts the copy on the disk.
func (s *Store) carry(ctx context.Context, from, to place, total int64, report func(wire.Progress)) error {
	source, err := s.open(from.inside())
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := s.open(to.inside())
	if err != nil {
		return err
	}
	defer func() { _ = target.Close() }()
	c := copying{from: source, to: target, done: func(bytes int64) {
		const all, share = 100, 2 // the second half is the comparison
		report(wire.Progress{
			Step: stepConvert, Percent: int(min(all-1, bytes*all/share/max(1, total))),
			Message: fmt.Sprintf("Copied and compared %d of %d MiB", bytes/share>>20, total>>20),
		})
	}}
	if err := c.run(ctx); err != nil {
		return err
	}
	return target.Sync()
}

// measure is what the files of a volume take.
func (s *Store) measure(ctx context.Context, p place) (total int64, err error) {
	root, err := s.open(p.inside())
	if err != nil {
		return 0, err
	}
	defer func() { _ = root.Close() }()
	err = walk(ctx, root, func(info files.Info) error {
		total += takes(info)
		return nil
	})
	return total, err
}

// takes is about what an entry takes on the disk.
func takes(info files.Info) int64 {
	bytes := info.Size
	if info.Data > 0 {
		bytes = info.Data
	}
	if info.Kind == files.Dir {
		return blockSize
	}
	return (bytes + blockSize - 1) / blockSize * blockSize
}

func walk(ctx context.Context, root *files.Root, visit func(files.Info) error) error {
	w, err := root.Walk("")
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		info, err := w.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := visit(info); err != nil {
			return err
		}
	}
}
