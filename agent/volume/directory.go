package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/berth-panel/berth/agent/files"
)

// directoryDriver holds a volume as a plain directory. Its limit is soft: usage
// is counted by walking, now and again, and the agent's own writers keep to it.
type directoryDriver struct{ s *Store }

func (d directoryDriver) create(_ context.Context, p place) error {
	if err := d.s.root.Mkdir(p.inside(), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make volume %s: %w", p.id, err)
	}
	return nil
}

func (d directoryDriver) ready(_ context.Context, p place) error         { return d.s.plain(p) }
func (d directoryDriver) rest(place) error                               { return nil }
func (d directoryDriver) grow(context.Context, place, int64, bool) error { return nil }
func (d directoryDriver) remove(place) error                             { return nil }
func (d directoryDriver) trim(place) error                               { return nil }
func (d directoryDriver) usage(p place) (used, limit int64, err error) {
	return d.s.entry(p.id).figure().bytes, p.LimitBytes, nil
}

// projectDriver holds a volume as a directory with a project quota of the
// filesystem that it lies on: of ext4 or XFS, mounted with them.
type projectDriver struct{ s *Store }

// project is the quota's number: the instance's own, which no other has.
func (d projectDriver) project(p place) (uint32, error) {
	const hex, bits = 16, 32
	n, err := strconv.ParseUint(string(p.id), hex, bits)
	if err == nil && n == 0 {
		err = errors.New("0 is everybody's project")
	}
	if err != nil {
		return 0, fmt.Errorf("the project of volume %s: %w", p.id, err)
	}
	return uint32(n), nil
}

func (d projectDriver) create(ctx context.Context, p place) error {
	if err := (directoryDriver{d.s}).create(ctx, p); err != nil {
		return err
	}
	return d.hold(ctx, p)
}

// hold puts all that the directory has into its project and sets the limit. New
// files follow their folder; those that were there before are told one by one.
func (d projectDriver) hold(ctx context.Context, p place) error {
	number, err := d.project(p)
	if err != nil {
		return err
	}
	root, err := d.s.open(p.inside())
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	w, err := root.Walk("")
	if err != nil {
		return err
	}
	defer w.Close()
	for {
		info, err := w.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = d.assign(p, root, info, number)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil && !files.Gone(err) {
			return fmt.Errorf("put volume %s into its project: %w", p.id, err)
		}
	}
	return limitProject(filepath.Join(d.s.dir, p.inside()), number, p.LimitBytes)
}

// adopt puts a folder of the volume's directory into its project.
func (d projectDriver) adopt(p place, name string) error {
	number, err := d.project(p)
	if err != nil {
		return err
	}
	dir, err := d.s.root.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return assign(dir, number, true)
}

func (d projectDriver) assign(p place, root *files.Root, info files.Info, number uint32) error {
	switch info.Kind {
	case files.Dir:
		name := filepath.Join(p.inside(), filepath.FromSlash(string(info.Path)))
		dir, err := d.s.root.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = dir.Close() }()
		return assign(dir, number, true)
	case files.File:
		file, _, err := root.Open(info.Path)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		return assign(file, number, false)
	default:
		return nil // they take no room
	}
}

func (d projectDriver) ready(_ context.Context, p place) error {
	if err := d.s.plain(p); err != nil {
		return err
	}
	number, err := d.project(p)
	if err != nil {
		return err
	}
	return limitProject(filepath.Join(d.s.dir, p.inside()), number, p.LimitBytes)
}

func (d projectDriver) rest(place) error { return nil }

func (d projectDriver) grow(_ context.Context, p place, bytes int64, _ bool) error {
	number, err := d.project(p)
	if err != nil {
		return err
	}
	return limitProject(filepath.Join(d.s.dir, p.inside()), number, bytes)
}

func (d projectDriver) usage(p place) (used, limit int64, err error) {
	number, err := d.project(p)
	if err != nil {
		return 0, p.LimitBytes, err
	}
	used, err = projectUse(filepath.Join(d.s.dir, p.at), number)
	return used, p.LimitBytes, err
}

// remove forgets the limit; one that is left is of no harm.
func (d projectDriver) remove(p place) error {
	if number, err := d.project(p); err == nil {
		_ = limitProject(filepath.Join(d.s.dir, p.at), number, 0)
	}
	return nil
}

func (d projectDriver) trim(place) error { return nil }

// tryProject really sets a quota and runs into it.
func (s *Store) tryProject() error {
	const project, limit = 0xfffffff1, 1 << 20
	dir, err := os.MkdirTemp(s.dir, ".try-")
	if err != nil {
		return err
	}
	defer func() {
		_ = limitProject(s.dir, project, 0)
		_ = os.RemoveAll(dir)
	}()
	open, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = open.Close() }()
	if err := assign(open, project, true); err != nil {
		return fmt.Errorf("the filesystem of the data directory knows no projects: %w", err)
	}
	if err := limitProject(dir, project, limit); err != nil {
		return fmt.Errorf("the filesystem of the data directory is not mounted with project quotas: %w", err)
	}
	err = os.WriteFile(filepath.Join(dir, "f"), make([]byte, 2*limit), 0o600)
	if !files.Full(err) {
		return errors.New("project quotas don't hold here")
	}
	return nil
}
