package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File reads a file, or makes it with fresh when it isn't there yet. most is
// what may be allowed on it at most: 0o600 for what is private, 0o644 for what
// is public; a file that others may do more with is refused. Making is atomic: a
// process that is killed meanwhile leaves the whole file or none, and of two
// that start at once both get the same content.
func File(path string, most fs.FileMode, fresh func() ([]byte, error)) ([]byte, error) {
	content, err := read(path, most)
	if !errors.Is(err, fs.ErrNotExist) {
		return content, err
	}
	made, err := fresh()
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", filepath.Base(path), err)
	}
	if err := write(path, most, made); err != nil {
		return nil, err
	}
	return read(path, most) // of the process that was first
}

func read(path string, most fs.FileMode) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077&^most != 0 {
		return nil, fmt.Errorf("%s is open to others on this machine (mode %04o): chmod %o it, and replace what it protects if somebody else has an account here",
			path, mode, most)
	}
	return os.ReadFile(path)
}

func write(path string, most fs.FileMode, content []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	temp, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.Write(content)
	err = errors.Join(err, temp.Chmod(most), temp.Sync(), temp.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	// A link fails when the name is taken, where a rename would replace the key of a process that was quicker.
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return syncDir(dir)
}

// syncDir makes the new name survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
