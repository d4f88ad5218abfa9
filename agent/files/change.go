package files

import (
	"errors"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/wire"
)

// among says whether a mode is one of these kinds of entry.
func among(mode uint32, kinds []uint32) bool { return slices.Contains(kinds, mode&unix.S_IFMT) }

// Chmod sets the permission bits of a file or folder.
func (r *Root) Chmod(path wire.Path, mode uint32) error {
	const flags = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC
	change := func(dir int, name string) error {
		fd, err := openKind(dir, name, flags, unix.S_IFREG, unix.S_IFDIR)
		if errors.Is(err, unix.EACCES) { // nobody but root may open what nobody may read
			return unix.Fchmodat(dir, name, mode&0o777, unix.AT_SYMLINK_NOFOLLOW)
		}
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		return unix.Fchmod(fd, mode&0o777)
	}
	if path == wire.Root {
		return change(r.fd, ".")
	}
	return r.in("chmod", path, change)
}

// MoveNew is Move to a name that is free: fs.ErrExist when it isn't.
func (r *Root) MoveNew(path wire.Path, to *Root, dest wire.Path) error {
	return r.in("move", path, func(dir int, name string) error {
		return to.in("move to", dest, func(toDir int, toName string) error {
			err := renameNew(dir, name, toDir, toName)
			if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
				return err
			}
			// Into itself, or a filesystem that doesn't know this: there the look comes
			// before, and whoever is as quick as that is replaced.
			var st unix.Stat_t
			if err := unix.Fstatat(toDir, toName, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil {
				return unix.EEXIST
			}
			return unix.Renameat(dir, name, toDir, toName)
		})
	})
}

// MakeDirs makes a folder and those above it that are missing. The new ones get
// m's mode and owner; those that are there are left as they are.
func (r *Root) MakeDirs(path wire.Path, m Meta) error {
	_, err := r.NewDirs(path, m)
	return err
}

// NewDirs is MakeDirs, and says which folders it made, the outermost first, also
// when it fails.
func (r *Root) NewDirs(path wire.Path, m Meta) (made []wire.Path, err error) {
	if path == wire.Root {
		return nil, nil
	}
	if !path.Valid() {
		return nil, failed("mkdir", path, unix.EINVAL)
	}
	at, end := r.fd, -1
	for name := range strings.SplitSeq(string(path), "/") {
		end += 1 + len(name)
		next, isNew, err := makeDir(at, name, m)
		if isNew {
			made = append(made, path[:end])
		}
		err = crowded(at, err)
		if at != r.fd {
			_ = unix.Close(at)
		}
		if err != nil {
			return made, failed("mkdir", path, err)
		}
		at = next
	}
	_ = unix.Close(at)
	return made, nil
}

// makeDir opens a folder and makes it when it is missing.
func makeDir(dir int, name string, m Meta) (fd int, isNew bool, err error) {
	fd, err = openat(dir, name, dirFlags, 0)
	if !errors.Is(err, unix.ENOENT) {
		return fd, false, err
	}
	err = unix.Mkdirat(dir, name, 0o700)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, false, err
	}
	isNew = err == nil
	fd, err = openat(dir, name, dirFlags, 0)
	if err != nil || !isNew {
		return fd, isNew, err
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err == nil && (int(st.Uid) != m.UID || int(st.Gid) != m.GID) {
		err = unix.Fchown(fd, m.UID, m.GID)
	}
	if err == nil {
		err = unix.Fchmod(fd, m.Mode&0o777)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, true, err
	}
	return fd, true, nil
}

// New makes a regular file, closed to others, and opens it for reading and
// writing. fs.ErrExist when anything has the name.
func (r *Root) New(path wire.Path) (*os.File, error) {
	var file *os.File
	err := r.in("create", path, func(dir int, name string) error {
		const flags = unix.O_RDWR | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
		fd, err := openat(dir, name, flags, 0o600)
		if err == nil {
			file = os.NewFile(uintptr(fd), string(path))
		}
		return err
	})
	return file, err
}

// SyncDir puts the names in a folder on the disk.
func (r *Root) SyncDir(path wire.Path) error {
	fd, err := r.folder(path)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Fsync(fd); err != nil {
		return failed("sync", path, err)
	}
	return nil
}

// Own gives an entry of any kind to a user and group, without following a link.
func (r *Root) Own(path wire.Path, uid, gid int) error {
	if path == wire.Root {
		if err := unix.Fchown(r.fd, uid, gid); err != nil {
			return failed("chown", path, err)
		}
		return nil
	}
	return r.in("chown", path, func(dir int, name string) error {
		return unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	})
}
