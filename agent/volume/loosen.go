package volume

import (
	"io/fs"
	"path/filepath"
)

// loosen makes everything beneath name deletable, as far as it can: directories
// are opened to their owner, immutable and append-only flags are taken off. What
// fails shows when the removal is tried again.
func (s *Store) loosen(name string) {
	s.unguard(name)
	_ = s.root.Chmod(name, 0o700)
	_ = fs.WalkDir(s.root.FS(), name, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // unreadable: its own visit came before and did what it could
		case entry.IsDir():
			s.unguard(path)
			_ = s.root.Chmod(filepath.FromSlash(path), 0o700)
		case entry.Type().IsRegular():
			s.unguard(path)
		}
		return nil
	})
}
