package volume

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// guarded are the inode flags that keep even root from deleting: FS_IMMUTABLE_FL
// and FS_APPEND_FL of linux/fs.h, which statx shows under the same values.
const guarded = unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_APPEND

// unguard clears the flags through a descriptor that was opened beneath the root
// and is no link; O_NONBLOCK, so that a pipe in that place can't hold us.
func (s *Store) unguard(name string) {
	file, err := s.root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer func() { _ = file.Close() }()
	flags, err := unix.IoctlGetInt(int(file.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil || flags&guarded == 0 {
		return
	}
	_ = unix.IoctlSetPointerInt(int(file.Fd()), unix.FS_IOC_SETFLAGS, flags&^guarded)
}
