package volume

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// tree fills a volume with one of everything.
func tree(t *testing.T, s *Store) {
	t.Helper()
	dir := s.Path(one)
	must(t, os.MkdirAll(filepath.Join(dir, "d/e"), 0o750))
	must(t, os.WriteFile(filepath.Join(dir, "d/e/f"), bytes.Repeat([]byte("content "), 1<<17), 0o640))
	must(t, os.Symlink("../../f", filepath.Join(dir, "d/link")))
	hole, err := os.Create(filepath.Join(dir, "hole"))
	must(t, err)
	_, err = hole.WriteAt([]byte("end"), 200*mib)
	must(t, errors.Join(err, hole.Close()))
	old := time.Unix(1_000_000_000, 0)
	must(t, os.Chtimes(filepath.Join(dir, "d/e/f"), old, old))
	must(t, os.Chtimes(filepath.Join(dir, "d/e"), old, old))
	must(t, s.Own(one, 1234, 5678))
}

func checkTree(t *testing.T, s *Store) {
	t.Helper()
	holds(t, s, one, "d/e/f", string(bytes.Repeat([]byte("content "), 1<<17)))
	dir := s.Path(one)
	for _, name := range []string{"d/e", "d/e/f"} {
		info, err := os.Lstat(filepath.Join(dir, name))
		must(t, err)
		if perm := info.Mode().Perm(); perm != map[bool]os.FileMode{true: 0o750, false: 0o640}[info.IsDir()] || info.ModTime().Unix() != 1_000_000_000 {
			t.Errorf("%s is %v of %v", name, perm, info.ModTime())
		}
	}
	if target, err := os.Readlink(filepath.Join(dir, "d/link")); err != nil || target != "../../f" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
	if info, err := os.Lstat(filepath.Join(dir, "hole")); err != nil || info.Size() != 200*mib+3 {
		t.Errorf("the file with a hole: %v, %v", info, err)
	}
	if got := owner(t, dir); s.Privileged && got != "1234:5678" {
		t.Errorf("it belongs to %s", got)
	}
}
