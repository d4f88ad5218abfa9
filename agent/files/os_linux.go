package files

import (
	"os"

	"golang.org/x/sys/unix"
)

const (
	noATime   = unix.O_NOATIME
	utimeOmit = unix.UTIME_OMIT
	seekData  = unix.SEEK_DATA
	seekHole  = unix.SEEK_HOLE
)

// Sync puts everything of the filesystem that holds the root on the disk.
func (r *Root) Sync() error {
	if err := unix.Syncfs(r.fd); err != nil {
		return failed("sync", ".", err)
	}
	return nil
}

// syncData puts a file's content on the disk.
func syncData(file *os.File) error { return unix.Fdatasync(int(file.Fd())) }
