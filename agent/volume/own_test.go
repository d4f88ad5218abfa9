package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestOwnAllTakesEverythingAndFollowsNothing(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	s := setup(t)
	if _, err := s.Ensure(one); err != nil {
		t.Fatal(err)
	}
	dir, outside := s.Path(one), filepath.Join(t.TempDir(), "outside")
	for _, at := range []string{outside, filepath.Join(dir, "a")} {
		if err := os.WriteFile(at, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made := []error{
		os.MkdirAll(filepath.Join(dir, "closed", "deep"), 0o700), os.WriteFile(filepath.Join(dir, "closed", "deep", "b"), nil, 0o400),
		os.Symlink(outside, filepath.Join(dir, "link")), os.Symlink(filepath.Dir(outside), filepath.Join(dir, "folder")),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600), os.Chmod(filepath.Join(dir, "closed"), 0o100),
	}
	if err := errors.Join(made...); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.OwnAll(t.Context(), one, 1000, 1001); err != nil {
			t.Fatal(err)
		}
	}
	owner := func(at string) [2]uint32 {
		var st syscall.Stat_t
		if err := syscall.Lstat(at, &st); err != nil {
			t.Fatal(err)
		}
		return [2]uint32{st.Uid, st.Gid}
	}
	for _, name := range []string{"", "a", "closed", "closed/deep", "closed/deep/b", "link", "folder", "pipe"} {
		if got := owner(filepath.Join(dir, name)); got != [2]uint32{1000, 1001} {
			t.Errorf("%q belongs to %v", name, got)
		}
	}
	if owner(outside) != [2]uint32{0, 0} || owner(filepath.Dir(outside))[0] == 1000 {
		t.Error("a link led out")
	}
	broken, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.OwnAll(broken, one, 1, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("broken off: %v", err)
	}
	if err := s.OwnAll(t.Context(), "00000002", 1, 1); !errors.Is(err, ErrNone) {
		t.Errorf("of no volume: %v", err)
	}
}
