package files

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openKind opens an entry of one kind (unix.S_IFREG, or S_IFDIR) for what flags
// say. It is looked at before it is opened, through a descriptor that opens
// nothing, and then opened through that: a device that takes its place between
// the two is never touched.
func openKind(dir int, name string, flags int, kinds ...uint32) (int, error) {
	pin, err := openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer func() { _ = unix.Close(pin) }()
	var st unix.Stat_t
	if err := unix.Fstat(pin, &st); err != nil {
		return -1, err
	}
	if !among(uint32(st.Mode), kinds) {
		return -1, ErrKind
	}
	fd, err := openat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(pin), flags, 0)
	if errors.Is(err, unix.ENOENT) { // no /proc here
		return openat(dir, name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	}
	return fd, err
}

// renameNew is rename for a name that is free.
func renameNew(fromDir int, from string, toDir int, to string) error {
	return unix.Renameat2(fromDir, from, toDir, to, unix.RENAME_NOREPLACE)
}

// Flush lets the disk begin with what was written to a part of a file.
func Flush(file *os.File, offset, size int64) {
	_ = unix.SyncFileRange(int(file.Fd()), offset, size, unix.SYNC_FILE_RANGE_WRITE) // a hint
}
