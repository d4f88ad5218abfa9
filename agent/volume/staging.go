package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/ident"
)

// Names of what a volume has beside its data while it is being copied here. They
// lie among the volumes, not beside their directory: that may be another
// filesystem, and then nothing could be renamed. No instance's id looks so.
const (
	staging = ".incoming"       // <staging>/<id>/{data,parts,record}
	trash   = ".incoming/trash" // what is being removed
	parts   = "parts"           // files that are not whole yet
	record  = "record"          // what the caller of Stage wants to find again
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

// Has says whether the instance has a data directory.
func (s *Store) Has(id ident.Instance) (bool, error) {
	if err := check(id); err != nil {
		return false, err
	}
	info, err := s.root.Lstat(filepath.Join(string(id), data))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at volume %s: %w", id, err)
	}
	return info.IsDir(), nil
}

// Files opens an instance's data. ErrNone is among the failures.
func (s *Store) Files(id ident.Instance) (*files.Root, error) {
	if err := check(id); err != nil {
		return nil, err
	}
	return s.open(filepath.Join(string(id), data))
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

// Stage makes room for a volume that will be copied here, or keeps the room that
// there is, and remembers text with it, over a crash too.
func (s *Store) Stage(id ident.Instance, text []byte) error {
	if err := check(id); err != nil {
		return err
	}
	at := filepath.Join(staging, string(id))
	for _, dir := range []string{staging, trash, at, filepath.Join(at, data), filepath.Join(at, parts)} {
		if err := s.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make room for volume %s: %w", id, err)
		}
	}
	if err := s.keep(filepath.Join(at, record), text); err != nil {
		return fmt.Errorf("make room for volume %s: %w", id, err)
	}
	return nil
}

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
	at := filepath.Join(staging, string(id))
	for name, root := range map[string]**files.Root{
		filepath.Join(at, data): &staged.Data, filepath.Join(at, parts): &staged.Parts, trash: &staged.Trash,
	} {
		if *root, err = s.open(name); err != nil {
			staged.Close()
			return Staged{}, err
		}
	}
	return staged, nil
}

// Unstage throws away a volume that is being copied here; one that isn't is no
// error. It is quick: Sweep frees the room.
func (s *Store) Unstage(id ident.Instance) error {
	if err := check(id); err != nil {
		return err
	}
	err := s.root.Rename(filepath.Join(staging, string(id)), filepath.Join(trash, uuid.NewString()))
	if errors.Is(err, fs.ErrNotExist) {
		if _, looked := s.root.Lstat(filepath.Join(staging, string(id))); errors.Is(looked, fs.ErrNotExist) {
			return nil
		}
		if err = s.root.Mkdir(trash, 0o700); err == nil || errors.Is(err, fs.ErrExist) {
			err = s.root.Rename(filepath.Join(staging, string(id)), filepath.Join(trash, uuid.NewString()))
		}
	}
	if err != nil {
		return fmt.Errorf("throw the incoming volume %s away: %w", id, err)
	}
	return nil
}

// Sweep removes for good what was thrown away; stop is asked between the pieces.
func (s *Store) Sweep(stop func() bool) error {
	entries, err := fs.ReadDir(s.root.FS(), trash)
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
		name := filepath.Join(trash, entry.Name())
		err := s.root.RemoveAll(name)
		if err != nil {
			s.loosen(name)
			err = s.root.RemoveAll(name)
		}
		failed = errors.Join(failed, err)
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
	there, err := s.Has(id)
	if err != nil {
		return err
	}
	if !there {
		if err := s.adopt(id); err != nil {
			return err
		}
	}
	for _, name := range []string{parts, record, record + ".new"} { // all that the rename brought along
		if err := s.root.RemoveAll(filepath.Join(string(id), name)); err != nil {
			return fmt.Errorf("clear up volume %s: %w", id, err)
		}
	}
	return nil
}

func (s *Store) adopt(id ident.Instance) error {
	at := filepath.Join(staging, string(id))
	if _, err := s.root.Lstat(filepath.Join(at, record)); errors.Is(err, fs.ErrNotExist) {
		return ErrNone
	}
	root, err := s.open(filepath.Join(at, data))
	if err != nil {
		return err
	}
	err = root.Sync()
	_ = root.Close()
	if err != nil {
		return fmt.Errorf("put volume %s on the disk: %w", id, err)
	}
	// What an Ensure that was broken off left stands in the way; it is empty.
	if err := s.root.Remove(string(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take volume %s over: %w", id, err)
	}
	if err := s.root.Rename(at, string(id)); err != nil {
		return fmt.Errorf("take volume %s over: %w", id, err)
	}
	return s.settle(id)
}

// settle puts the new name on the disk.
func (s *Store) settle(id ident.Instance) error {
	dir, err := s.root.Open(".")
	if err != nil {
		return fmt.Errorf("put the name of volume %s on the disk: %w", id, err)
	}
	defer func() { _ = dir.Close() }()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("put the name of volume %s on the disk: %w", id, err)
	}
	return nil
}
