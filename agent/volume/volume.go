package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-panel/berth/shared/ident"
)

// data is the directory of an instance that the container sees.
const data = "data"

// Store is the directory of all volumes. Its methods are safe for concurrent
// use as long as each instance has one caller at a time.
type Store struct {
	root *os.Root
	dir  string
	// Privileged says whether the agent may give files to other users.
	Privileged bool
}

// Open makes the directory when it is missing and opens it.
func Open(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("volumes: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the volumes: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the directory of the volumes: %w", err)
	}
	return &Store{root: root, dir: dir, Privileged: os.Geteuid() == 0}, nil
}

// Close frees the directory's handle.
func (s *Store) Close() error {
	if err := s.root.Close(); err != nil {
		return fmt.Errorf("close the volumes: %w", err)
	}
	return nil
}

// Path is the absolute path of an instance's data directory, for the engine's
// mount only. It is "" for an id of the wrong form.
func (s *Store) Path(id ident.Instance) string {
	if !id.Valid() {
		return ""
	}
	return filepath.Join(s.dir, string(id), data)
}

// Ensure makes the instance's data directory. created says that it was not there.
func (s *Store) Ensure(id ident.Instance) (created bool, err error) {
	if err := check(id); err != nil {
		return false, err
	}
	if err := s.root.Mkdir(string(id), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return false, fmt.Errorf("make volume %s: %w", id, err)
	}
	inside := filepath.Join(string(id), data)
	err = s.root.Mkdir(inside, 0o755)
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return false, fmt.Errorf("make volume %s: %w", id, err)
	}
	info, err := s.root.Lstat(inside)
	if err != nil {
		return false, fmt.Errorf("look at volume %s: %w", id, err)
	}
	if !info.IsDir() {
		return false, fmt.Errorf("volume %s is not a directory", id)
	}
	return false, nil
}

// Own gives the data directory itself, not what is in it, to a user and group.
func (s *Store) Own(id ident.Instance, uid, gid int) error {
	if err := check(id); err != nil {
		return err
	}
	if !s.Privileged {
		return nil
	}
	if err := s.root.Lchown(filepath.Join(string(id), data), uid, gid); err != nil {
		return fmt.Errorf("give volume %s to %d:%d: %w", id, uid, gid, err)
	}
	return nil
}

// Remove deletes the volume with everything in it; one that is gone is no error.
func (s *Store) Remove(id ident.Instance) error {
	if err := check(id); err != nil {
		return err
	}
	err := s.root.RemoveAll(string(id))
	if err != nil {
		s.loosen(string(id))
		err = s.root.RemoveAll(string(id))
	}
	if err != nil {
		return fmt.Errorf("remove volume %s: %w", id, err)
	}
	return nil
}

func check(id ident.Instance) error {
	if !id.Valid() {
		return fmt.Errorf("%q is not an instance's id", string(id))
	}
	return nil
}
