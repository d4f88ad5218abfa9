package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"github.com/berth-panel/berth/shared/wire"
)

// Auto takes the best driver that works; the others are the names of drivers.
const Auto = "auto"

// Valid says whether a name may be chosen.
func Valid(name string) bool {
	switch name {
	case "", Auto, string(wire.VolumePoolImage), string(wire.VolumeImage), string(wire.VolumeProject), string(wire.VolumeDirectory):
		return true
	default:
		return false
	}
}

// candidate is a driver that may be tried.
type candidate struct {
	driver wire.VolumeDriver
	try    func(ctx context.Context) error
}

// choose tries the drivers, best first, and keeps the first that works, or the
// one that was asked for or nothing.
func (s *Store) choose(ctx context.Context, name string) error {
	if name == "" || name == string(wire.VolumeDirectory) {
		s.chosen = wire.VolumeDirectory
		s.why = "plain directories were asked for"
		return nil
	}
	candidates := []candidate{
		{wire.VolumePoolImage, s.tryPool},
		{wire.VolumeImage, s.tryImage},
		{wire.VolumeProject, func(context.Context) error { return s.tryProject() }},
	}
	if !s.Privileged {
		s.chosen, s.why = wire.VolumeDirectory, "disk limits that hold need an agent that runs as root"
		return s.must(name, errors.New(s.why))
	}
	for _, c := range candidates {
		if name != Auto && name != string(c.driver) {
			continue
		}
		err := c.try(ctx)
		if err == nil {
			s.chosen = c.driver
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.pooled = false
		s.log.Info("disk limits can't be held that way here", "driver", string(c.driver), "error", err)
		if s.why == "" {
			s.why = fmt.Sprintf("%s: %v", c.driver, err)
		}
		if err := s.must(name, err); err != nil {
			return err
		}
	}
	s.chosen = wire.VolumeDirectory
	return nil
}

// must fails where nothing else may take a driver's place.
func (s *Store) must(name string, err error) error {
	if name == Auto {
		return nil
	}
	return fmt.Errorf("volumes of the kind %s can't be had here: %w", name, err)
}

// tryPool wants an XFS that shares content between files: the node's own, or one
// in a file.
func (s *Store) tryPool(ctx context.Context) error {
	s.pooled = false
	if isXFS(s.dir) && !s.hasPool() && s.tryReflink(".") == nil {
		return s.tryImage(ctx)
	}
	if err := s.makePool(ctx); err != nil {
		return err
	}
	s.pooled = true
	if err := s.tryReflink(poolImages); err != nil {
		return fmt.Errorf("the pool can't share content between files: %w", err)
	}
	return s.tryImage(ctx)
}

func (s *Store) tryReflink(dir string) error {
	var names [2]string
	var open [2]*os.File
	for i := range names {
		names[i] = filepath.Join(s.dir, dir, ".try-"+uuid.NewString())
		file, err := os.OpenFile(names[i], os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		open[i] = file
		defer func() {
			_ = file.Close()
			_ = os.Remove(names[i])
		}()
	}
	if _, err := open[0].Write(make([]byte, blockSize)); err != nil {
		return err
	}
	return reflink(open[0], open[1])
}

// tryBytes is the size of the image that is tried.
const tryBytes = 8 << 20

// tryImage makes a volume, uses it and removes it.
func (s *Store) tryImage(ctx context.Context) (err error) {
	if err := have(programExt4, programCheck, programResize); err != nil {
		return err
	}
	at := ".try-" + uuid.NewString()
	if err := s.root.Mkdir(at, 0o700); err != nil {
		return err
	}
	p := place{at: at, mount: mountPoint, layout: layout{
		Driver: wire.VolumeImage, LimitBytes: tryBytes, Image: imageFront + uuid.NewString(), Pool: s.pooled,
	}}
	d := imageDriver{s}
	defer func() {
		err = errors.Join(err, d.remove(p), s.root.RemoveAll(at))
	}()
	if err := d.create(ctx, p); err != nil {
		return err
	}
	if err := s.root.WriteFile(filepath.Join(p.inside(), "f"), []byte("x"), 0o600); err != nil {
		return err
	}
	if err := d.rest(p); err != nil {
		return err
	}
	return d.ready(ctx, p)
}
