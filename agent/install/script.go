package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-panel/berth/shared/ident"
)

// scriptName is what a script's file is called, in its folder and so in the
// container.
const scriptName = "install.sh"

// Scripts is the agent's folder for the scripts of installations under way. It is
// safe for concurrent use; each instance has one caller at a time.
type Scripts struct {
	dir  string
	root *os.Root
}

// OpenScripts makes the folder when it is missing.
func OpenScripts(dir string) (*Scripts, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of the install scripts: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the install scripts: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of the install scripts: %w", err)
	}
	return &Scripts{dir: dir, root: root}, nil
}

// Close frees the folder's handle.
func (s *Scripts) Close() error { return s.root.Close() }

// Path is the folder of an instance's script, for the engine's mount only; ""
// for an id of the wrong form.
func (s *Scripts) Path(id ident.Instance) string {
	if !id.Valid() {
		return ""
	}
	return filepath.Join(s.dir, string(id))
}

// Lay writes an instance's script into its folder. The container's root reads it:
// nobody else may look into the agent's data directory.
func (s *Scripts) Lay(id ident.Instance, text string) error {
	if !id.Valid() {
		return fmt.Errorf("%q is not an instance's id", string(id))
	}
	if err := s.root.Mkdir(string(id), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write the install script: %w", err)
	}
	if err := s.root.WriteFile(filepath.Join(string(id), scriptName), []byte(text), 0o755); err != nil {
		return fmt.Errorf("write the install script: %w", err)
	}
	return nil
}

// Clear removes an instance's script; one that is gone is no error.
func (s *Scripts) Clear(id ident.Instance) error {
	if !id.Valid() {
		return nil
	}
	if err := s.root.RemoveAll(string(id)); err != nil {
		return fmt.Errorf("remove the install script: %w", err)
	}
	return nil
}
