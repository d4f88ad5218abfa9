package files

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/wire"
)

// List gives the entries of a folder in no order, without the targets of links.
// At most most of them; cut says that there are more. What vanishes meanwhile is
// left out. name is of the entry; it is the caller's.
func (r *Root) List(path wire.Path, most int, take func(name string, info Info)) (cut bool, err error) {
	fd, err := r.folder(path)
	if err != nil {
		return false, err
	}
	dir := os.NewFile(uintptr(fd), string(path))
	defer func() { _ = dir.Close() }()
	for {
		names, err := dir.Readdirnames(namesAtOne)
		for _, name := range names {
			var st unix.Stat_t
			looked := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
			if Gone(looked) {
				continue
			}
			if looked != nil {
				return false, failed("lstat", join(path, name), looked)
			}
			if most--; most < 0 {
				return true, nil
			}
			take(name, infoOf(join(path, name), &st))
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}
