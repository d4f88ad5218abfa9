package stats

import (
	"errors"
	"os"
	"syscall"
)

// readInto reads the beginning of a small file of the kernel's. os.ReadFile
// would ask for its size, which such files don't say, and offer it to the poller,
// which won't take it: half of the cost.
func readInto(name string, buffer []byte) (int, error) {
	fd, err := again(func() (int, error) { return syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC, 0) })
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer func() { _ = syscall.Close(fd) }()
	n := 0
	for n < len(buffer) {
		m, err := again(func() (int, error) { return syscall.Read(fd, buffer[n:]) })
		if err != nil {
			return n, &os.PathError{Op: "read", Path: name, Err: err}
		}
		if m == 0 {
			break
		}
		n += m
	}
	return n, nil
}

func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// isNoDevice tells what a cgroup gives that was removed while it was open, and
// ESRCH is a process's.
func isNoDevice(err error) bool {
	return errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ESRCH)
}

// room is the size of a filesystem and what of it is in use.
func room(dir string) (used, total int64) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, 0
	}
	size := int64(s.Bsize)
	return int64(s.Blocks-s.Bfree) * size, int64(s.Blocks) * size
}
