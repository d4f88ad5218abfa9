package instance

import (
	"os"
	"syscall"
	"testing"
)

func writeFile(path string) error { return os.WriteFile(path, []byte("data"), 0o600) }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func ownerOf(t *testing.T, path string) (uid, gid uint32) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatal("no owner on this system")
	}
	return stat.Uid, stat.Gid
}
