package files

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/wire"
)

// Meta is what an entry has beside its content.
type Meta struct {
	Mode  uint32
	UID   int
	GID   int
	MTime int64 // nanoseconds since 1970
	ATime int64 // the same; 0 leaves it as it is
}

// Create opens a regular file for reading and writing, and makes it when it is
// missing, closed to others. A link or anything else in its place is a failure.
func (r *Root) Create(path wire.Path) (*os.File, error) {
	var file *os.File
	err := r.in("create", path, func(dir int, name string) error {
		const flags = unix.O_RDWR | unix.O_CREAT | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
		fd, err := openat(dir, name, flags, 0o600)
		if err != nil {
			return err
		}
		file = os.NewFile(uintptr(fd), string(path))
		info, err := Stat(file, path)
		if err == nil && info.Kind != File {
			err = ErrKind
		}
		if err != nil {
			_ = file.Close()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return file, nil
}

// Seal gives the open file at path its meta and puts it on the disk.
func (r *Root) Seal(file *os.File, path wire.Path, m Meta) error {
	if err := r.Dress(file, path, m); err != nil {
		return err
	}
	if err := Sync(file); err != nil {
		return failed("sync", path, err)
	}
	return nil
}

// Sync puts a file's content on the disk.
func Sync(file *os.File) error { return syncData(file) }

// Dress gives the open file at path its meta.
func (r *Root) Dress(file *os.File, path wire.Path, m Meta) error {
	info, err := Stat(file, path)
	if err != nil {
		return err
	}
	if info.UID != m.UID || info.GID != m.GID {
		if err := file.Chown(m.UID, m.GID); err != nil {
			return err
		}
	}
	if err := unix.Fchmod(int(file.Fd()), m.Mode&0o7777); err != nil { // after chown, which takes set-uid away
		return failed("chmod", path, err)
	}
	return r.in("set the times of", path, func(dir int, name string) error { return setTimes(dir, name, m) })
}

// Apply makes an entry's meta be m, without following a link, and says whether
// anything had to be changed.
func (r *Root) Apply(info Info, m Meta) (changed bool, err error) {
	change := func(dir int, name string) (err error) {
		changed, err = apply(dir, name, info, m)
		return err
	}
	if info.Path != wire.Root {
		err = r.in("change", info.Path, change)
		return changed, err
	}
	if err := change(r.fd, "."); err != nil {
		return changed, failed("change", info.Path, err)
	}
	return changed, nil
}

func apply(dir int, name string, info Info, m Meta) (changed bool, err error) {
	if owned := info.UID == m.UID && info.GID == m.GID; !owned {
		changed = true
		if err := unix.Fchownat(dir, name, m.UID, m.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return changed, err
		}
	}
	if info.Kind != Link && (changed || info.Mode != m.Mode) {
		changed = true
		if err := chmod(dir, name, m.Mode); err != nil {
			return changed, err
		}
	}
	if SameTime(info.MTime, m.MTime) && (m.ATime == 0 || SameTime(info.ATime, m.ATime)) {
		return changed, nil
	}
	return true, setTimes(dir, name, m)
}

// chmod changes a file or folder through a descriptor: by its name the kernel
// would follow a link.
func chmod(dir int, name string, mode uint32) error {
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.EACCES) { // nobody but root may open what nobody may read
		return unix.Fchmodat(dir, name, mode&0o7777, unix.AT_SYMLINK_NOFOLLOW)
	}
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Fchmod(fd, mode&0o7777)
}

func setTimes(dir int, name string, m Meta) error {
	times := []unix.Timespec{{Nsec: utimeOmit}, unix.NsecToTimespec(m.MTime)}
	if m.ATime != 0 {
		times[0] = unix.NsecToTimespec(m.ATime)
	}
	return unix.UtimesNanoAt(dir, name, times, unix.AT_SYMLINK_NOFOLLOW)
}

// SameTime says whether a time that was read back is the one that was set: some
// filesystems keep microseconds, or only seconds.
func SameTime(got, set int64) bool {
	for _, grain := range []int64{1, 100, 1000, 1e9, 2e9} {
		rest := set % grain
		if rest < 0 {
			rest += grain
		}
		if got == set-rest {
			return true
		}
	}
	return false
}

// Mkdir makes a folder, closed to others until Apply opens it.
func (r *Root) Mkdir(path wire.Path) error {
	return r.in("mkdir", path, func(dir int, name string) error { return unix.Mkdirat(dir, name, 0o700) })
}

// Symlink makes a link; where it leads doesn't matter here.
func (r *Root) Symlink(target, path wire.Path) error {
	return r.in("symlink", path, func(dir int, name string) error { return unix.Symlinkat(string(target), dir, name) })
}

// Move gives an entry a place beneath another Root of the same filesystem. A
// file or link that is there is replaced.
func (r *Root) Move(path wire.Path, to *Root, dest wire.Path) error {
	return r.in("move", path, func(dir int, name string) error {
		return to.in("move to", dest, func(toDir int, toName string) error {
			return unix.Renameat(dir, name, toDir, toName)
		})
	})
}

// Remove removes a file, a link or an empty folder.
func (r *Root) Remove(path wire.Path) error {
	return r.in("remove", path, func(dir int, name string) error { return remove(dir, name) })
}

// RemoveDir removes a folder that is empty, and nothing of another kind.
func (r *Root) RemoveDir(path wire.Path) error {
	return r.in("remove", path, func(dir int, name string) error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) })
}

// NotEmpty says whether Remove failed on a folder with something in it.
func NotEmpty(err error) bool { return errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) }

func remove(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
		if err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); !errors.Is(err, unix.ENOTDIR) {
			return err
		}
	}
	return err
}

// Names gives all names in a folder, in no order. Only for folders of the
// agent's own: a container's may hold millions.
func (r *Root) Names(path wire.Path) ([]string, error) {
	fd, err := r.folder(path)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(fd), string(path))
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}
