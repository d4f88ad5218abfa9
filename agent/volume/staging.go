package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// Names of what a volume has beside its data while it is being copied here. They
// lie among the volumes, not beside their directory: that may be another
// filesystem, and then nothing could be renamed. No instance's id looks so.
const (
	staging     = ".incoming"       // <staging>/<id>/{data,parts,record}
	trash       = ".incoming/trash" // what is being removed
	parts       = "parts"           // files that are not whole yet
	thrown      = "thrown"          // of an image: waste goes where it can be moved to
	volumeFront = "volume-"         // of a staged volume's name in the trash; nothing else there has it
	record      = "record"          // what the caller of Stage wants to find again
)

// ErrNone answers for a volume, or a staged one, that isn't there.
var ErrNone = errors.New("there is no such volume")

// Staged is an open volume that is being copied here.
type Staged struct {
	Data  *files.Root // what becomes the volume's data
	Parts *files.Root // scratch room on the same filesystem; it goes away with Adopt
	Trash *files.Root // what is moved here is removed by Sweep
}

// Close frees the descriptors.
func (s Staged) Close() {
	for _, r := range []*files.Root{s.Data, s.Parts, s.Trash} {
		if r != nil {
			_ = r.Close()
		}
	}
}

func (s *Store) open(name string) (*files.Root, error) {
	dir, err := s.root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("open a volume: %w", err)
	}
	return files.At(dir), nil
}

// Stage makes room for a volume that will be copied here, as a plain directory;
// see StageWithin.
func (s *Store) Stage(id ident.Instance, text []byte) error { return s.StageWithin(id, 0, text) }

// StageWithin makes room for a volume of limit bytes that will be copied here,
// held by the node's driver, or keeps the room that there is, and remembers text
// with it, over a crash too.
func (s *Store) StageWithin(id ident.Instance, limit int64, text []byte) error {
	if err := check(id); err != nil {
		return err
	}
	for _, dir := range []string{staging, trash} {
		if err := s.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make room for volume %s: %w", id, err)
		}
	}
	at := filepath.Join(staging, string(id))
	p, err := s.find(id, at)
	switch {
	case err == nil:
		err = s.ready(s.base, p)
	case errors.Is(err, ErrNone):
		p = place{layout: s.fresh(limit), id: id, at: at, mount: mountPoint}
		if err = s.scrap(at); err == nil {
			err = s.create(s.base, p)
		}
	}
	if err != nil {
		return fmt.Errorf("make room for volume %s: %w", id, err)
	}
	for _, dir := range []string{p.beside(parts), p.beside(thrown)} {
		if err := s.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make room for volume %s: %w", id, err)
		}
		if p.Driver == wire.VolumeProject {
			if err := (projectDriver{s}).adopt(p, dir); err != nil {
				return fmt.Errorf("make room for volume %s: %w", id, err)
			}
		}
	}
	if err := s.keep(filepath.Join(at, record), text); err != nil {
		return fmt.Errorf("make room for volume %s: %w", id, err)
	}
	return nil
}

// beside is where something lies on the filesystem of the volume's data, out of
// the container's sight.
func (p place) beside(name string) string { return filepath.Join(filepath.Dir(p.inside()), name) }

// keep writes a small file as a whole or not at all.
func (s *Store) keep(name string, text []byte) error {
	file, err := s.root.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return s.root.Rename(name+".new", name)
}

// Staged lists the volumes that are being copied here with what Stage was given.
// What a Stage that was broken off left behind is thrown away.
func (s *Store) Staged() (map[ident.Instance][]byte, error) {
	list := map[ident.Instance][]byte{}
	entries, err := fs.ReadDir(s.root.FS(), staging)
	if errors.Is(err, fs.ErrNotExist) {
		return list, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the incoming volumes: %w", err)
	}
	for _, entry := range entries {
		id := ident.Instance(entry.Name())
		if !id.Valid() {
			continue
		}
		text, err := s.root.ReadFile(filepath.Join(staging, string(id), record))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := s.Unstage(id); err != nil {
				return nil, err
			}
		case err != nil:
			return nil, fmt.Errorf("read what is known of the incoming volume %s: %w", id, err)
		default:
			list[id] = text
		}
	}
	return list, nil
}

// OpenStaged opens a volume that is being copied here. ErrNone is among the failures.
func (s *Store) OpenStaged(id ident.Instance) (staged Staged, err error) {
	if err := check(id); err != nil {
		return Staged{}, err
	}
	p, err := s.find(id, filepath.Join(staging, string(id)))
	if err == nil {
		err = s.ready(s.base, p)
	}
	if err != nil {
		return Staged{}, err
	}
	for name, root := range map[string]**files.Root{
		p.inside(): &staged.Data, p.beside(parts): &staged.Parts, s.bin(p): &staged.Trash,
	} {
		if *root, err = s.open(name); err != nil {
			staged.Close()
			return Staged{}, err
		}
	}
	return staged, nil
}

// bin is where a staged volume's waste goes: on its own filesystem.
func (s *Store) bin(p place) string {
	if p.images() || p.Driver == wire.VolumeProject {
		return p.beside(thrown)
	}
	return trash
}

// Unstage throws away a volume that is being copied here; one that isn't is no
// error. It is quick: Sweep frees the room.
func (s *Store) Unstage(id ident.Instance) error {
	if err := check(id); err != nil {
		return err
	}
	if err := leave(filepath.Join(s.dir, staging, string(id), mountPoint)); err != nil {
		return fmt.Errorf("throw the incoming volume %s away: %w", id, err)
	}
	err := s.root.Rename(filepath.Join(staging, string(id)), filepath.Join(trash, volumeFront+uuid.NewString()))
	if errors.Is(err, fs.ErrNotExist) {
		if _, looked := s.root.Lstat(filepath.Join(staging, string(id))); errors.Is(looked, fs.ErrNotExist) {
			return nil
		}
		if err = s.root.Mkdir(trash, 0o700); err == nil || errors.Is(err, fs.ErrExist) {
			err = s.root.Rename(filepath.Join(staging, string(id)), filepath.Join(trash, volumeFront+uuid.NewString()))
		}
	}
	if err != nil {
		return fmt.Errorf("throw the incoming volume %s away: %w", id, err)
	}
	return nil
}

// Sweep removes for good what was thrown away; stop is asked between the pieces.
func (s *Store) Sweep(stop func() bool) error {
	bins := []string{trash}
	if entries, err := fs.ReadDir(s.root.FS(), staging); err == nil {
		for _, entry := range entries {
			if ident.Instance(entry.Name()).Valid() {
				bins = append(bins, filepath.Join(staging, entry.Name(), mountPoint, thrown), filepath.Join(staging, entry.Name(), thrown))
			}
		}
	}
	var failed error
	for _, bin := range bins {
		failed = errors.Join(failed, s.empty(bin, stop))
	}
	s.wake()
	return failed
}

func (s *Store) empty(bin string, stop func() bool) error {
	entries, err := fs.ReadDir(s.root.FS(), filepath.ToSlash(bin))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list what was thrown away: %w", err)
	}
	var failed error
	for _, entry := range entries {
		if stop() {
			break
		}
		name := filepath.Join(bin, entry.Name())
		if bin == trash && strings.HasPrefix(entry.Name(), volumeFront) {
			failed = errors.Join(failed, s.scrap(name))
			continue
		}
		// Out of a container's files: what looks like a record there is none.
		failed = errors.Join(failed, s.discard(name))
	}
	return failed
}

// Adopt makes the volume that was copied here the instance's, in one step. It may
// be repeated at any stage: with a volume that is there already it only clears
// up. ErrNone means that there is neither.
func (s *Store) Adopt(id ident.Instance) error {
	if err := check(id); err != nil {
		return err
	}
	e := s.entry(id)
	e.work.Lock()
	defer e.work.Unlock()
	p, err := s.find(id, string(id))
	if errors.Is(err, ErrNone) {
		p, err = s.adopt(id)
	}
	if err == nil {
		err = s.ready(s.base, p)
	}
	if err != nil {
		return err
	}
	// All that came along.
	for _, name := range []string{p.beside(parts), p.beside(thrown), filepath.Join(p.at, record), filepath.Join(p.at, record+".new")} {
		if err := s.root.RemoveAll(name); err != nil {
			return fmt.Errorf("clear up volume %s: %w", id, err)
		}
	}
	return nil
}

// adopt renames the directory of the volume, which is not in use then.
func (s *Store) adopt(id ident.Instance) (place, error) {
	at := filepath.Join(staging, string(id))
	if _, err := s.root.Lstat(filepath.Join(at, record)); errors.Is(err, fs.ErrNotExist) {
		return place{}, ErrNone
	}
	p, err := s.find(id, at)
	if err != nil {
		return p, err
	}
	d, err := s.driverOf(p.layout)
	if err != nil {
		return p, err
	}
	if err := d.ready(s.base, p); err != nil {
		return p, err
	}
	if err := syncAll(filepath.Join(s.dir, p.inside())); err != nil {
		return p, fmt.Errorf("put volume %s on the disk: %w", id, err)
	}
	if err := d.rest(p); err != nil {
		return p, fmt.Errorf("take volume %s over: %w", id, err)
	}
	// What a Make that was broken off left stands in the way.
	if err := s.scrap(string(id)); err != nil {
		return p, fmt.Errorf("take volume %s over: %w", id, err)
	}
	if err := s.root.Rename(at, string(id)); err != nil {
		return p, fmt.Errorf("take volume %s over: %w", id, err)
	}
	return home(id, p.layout), s.settle(".")
}

// settle puts the names in a directory of the store on the disk.
func (s *Store) settle(name string) error {
	dir, err := s.root.Open(name)
	if err != nil {
		return fmt.Errorf("put a volume's name on the disk: %w", err)
	}
	defer func() { _ = dir.Close() }()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("put a volume's name on the disk: %w", err)
	}
	return nil
}
