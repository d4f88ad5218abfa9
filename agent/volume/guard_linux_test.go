package volume

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRemoveTakesImmutableFiles(t *testing.T) {
	t.Parallel()
	s := setup(t)
	ensure(t, s)
	dir := filepath.Join(s.Path(one), "dir")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, dir, s.Path(one)} {
		file, err := os.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		err = unix.IoctlSetPointerInt(int(file.Fd()), unix.FS_IOC_SETFLAGS, unix.STATX_ATTR_IMMUTABLE)
		_ = file.Close()
		if err != nil {
			t.Skipf("this filesystem or user can't make files immutable: %v", err)
		}
	}
	if err := os.Remove(path); err == nil {
		t.Skip("immutable files can be removed here")
	}
	if err := s.Remove(one); err != nil {
		t.Fatal(err)
	}
}
