//go:build !linux

package files

import (
	"os"

	"golang.org/x/sys/unix"
)

func openKind(dir int, name string, flags int, kinds ...uint32) (int, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return -1, err
	}
	if !among(uint32(st.Mode), kinds) {
		return -1, ErrKind
	}
	return openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

func renameNew(fromDir int, from string, toDir int, to string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(toDir, to, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		return unix.EEXIST
	}
	return unix.Renameat(fromDir, from, toDir, to)
}

// Flush does nothing here.
func Flush(*os.File, int64, int64) {}
