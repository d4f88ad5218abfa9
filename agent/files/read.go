package files

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/wire"
)

// Open opens a regular file for reading and says what it is. It leaves no trace
// in the file's times, where the agent has the right to that.
func (r *Root) Open(path wire.Path) (*os.File, Info, error) {
	var fd int
	err := r.in("open", path, func(dir int, name string) (err error) {
		const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC
		fd, err = openKind(dir, name, flags|noATime, unix.S_IFREG)
		if errors.Is(err, unix.EPERM) {
			fd, err = openKind(dir, name, flags, unix.S_IFREG)
		}
		return err
	})
	if err != nil {
		return nil, Info{}, err
	}
	file := os.NewFile(uintptr(fd), string(path))
	info, err := Stat(file, path)
	if err == nil && info.Kind != File {
		err = failed("open", path, ErrKind)
	}
	if err != nil {
		_ = file.Close()
		return nil, Info{}, err
	}
	return file, info, nil
}

// Stat looks again at a file that Open opened as path.
func Stat(file *os.File, path wire.Path) (Info, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return Info{}, failed("stat", path, err)
	}
	return infoOf(path, &st), nil
}

// Data finds the next part of the file, at or behind from, that is no hole: the
// bytes from start up to, not including, end. There is none when start is size.
// What the filesystem doesn't know to be a hole counts as data.
func Data(file *os.File, from, size int64) (start, end int64, err error) {
	if from >= size {
		return size, size, nil
	}
	start, err = file.Seek(from, seekData)
	switch {
	case errors.Is(err, unix.ENXIO):
		return size, size, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTSUP):
		return from, size, nil
	case err != nil:
		return 0, 0, err
	}
	end, err = file.Seek(start, seekHole)
	if errors.Is(err, unix.ENXIO) { // it was cut off just now
		return size, size, nil
	}
	if err != nil {
		return 0, 0, err
	}
	return min(start, size), min(end, size), nil
}
