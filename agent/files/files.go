package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/wire"
)

// Kind is what an entry is.
type Kind int

// The kinds.
const (
	Other Kind = iota // a pipe, a socket, a device
	File
	Dir
	Link
)

// Info is what is known of one entry.
type Info struct {
	Path   wire.Path
	Kind   Kind
	Mode   uint32 // permission bits with set-uid, set-gid and sticky
	UID    int
	GID    int
	Size   int64
	Data   int64 // bytes that are allocated, when fewer than Size; else 0
	MTime  int64 // nanoseconds since 1970, as are the next two
	ATime  int64
	CTime  int64
	Inode  uint64
	Target wire.Path // of a link; filled in by Walk and Lstat
}

// Root is a folder and everything beneath it. It is safe for concurrent use
// until it is closed.
type Root struct {
	file *os.File
	fd   int // of file
	// onClose is called once the Root is closed; nil is nobody.
	onClose func()
}

// At makes a Root of an open directory, which then belongs to it.
func At(dir *os.File) *Root { return &Root{file: dir, fd: int(dir.Fd())} }

// OnClose has f called when the Root is closed, once: whoever gave it out learns
// that it is back. Call it before anybody uses the Root.
func (r *Root) OnClose(f func()) { r.onClose = f }

// Close frees the descriptor. Nobody may be using the Root.
func (r *Root) Close() error {
	err := r.file.Close()
	if f := r.onClose; f != nil {
		r.onClose = nil
		f()
	}
	return err
}

// Sub opens a folder as a Root of its own.
func (r *Root) Sub(path wire.Path) (*Root, error) {
	fd, err := r.folder(path)
	if err != nil {
		return nil, err
	}
	return At(os.NewFile(uintptr(fd), string(path))), nil
}

// Gone says whether an error means that there is nothing of that name and kind,
// maybe not any more: the name is free, or leads through something that is no
// folder, or is a link where none is followed.
func Gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, ErrKind)
}

// ErrKind is wrapped by failures on an entry that is of another kind than asked for.
var ErrKind = errors.New("it is of another kind")

// Full says whether an error means that there is no room.
func Full(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// ErrMany is wrapped, with the system's error, where there is room, but as many
// entries as the filesystem can hold.
var ErrMany = errors.New("the filesystem holds as many entries as it can")

// Fullness is what a disk is of which Full says that it has no room, for a sentence.
func Fullness(err error) string {
	if errors.Is(err, ErrMany) {
		return "holds as many files as it can"
	}
	return "is full"
}

// Crowded is what an entry could not be made for beneath the Root, with ErrMany
// where that is why. It is asked at once: there is room again when what was made
// before was cleared away.
func (r *Root) Crowded(err error) error { return crowded(r.fd, err) }

func crowded(dir int, err error) error {
	var st unix.Statfs_t
	if !errors.Is(err, unix.ENOSPC) || errors.Is(err, ErrMany) || unix.Fstatfs(dir, &st) != nil {
		return err
	}
	if st.Files == 0 || st.Ffree > 0 || st.Bavail == 0 { // without a limit; not it; or not it alone
		return err
	}
	return fmt.Errorf("%w: %w", ErrMany, err)
}

const dirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// folder opens a folder by walking down to it.
func (r *Root) folder(path wire.Path) (int, error) {
	if !path.Valid() {
		return -1, failed("open", path, unix.EINVAL)
	}
	at := r.fd
	for name := range strings.SplitSeq(string(path), "/") {
		next, err := openat(at, name, dirFlags, 0)
		if at != r.fd {
			_ = unix.Close(at)
		}
		if err != nil {
			return -1, failed("open", path, err)
		}
		at = next
	}
	return at, nil
}

// in calls f with the folder that holds the path and the path's last name.
func (r *Root) in(op string, path wire.Path, f func(dir int, name string) error) error {
	if !path.Valid() || path == wire.Root {
		return failed(op, path, unix.EINVAL)
	}
	dir, name := r.fd, string(path)
	if cut := strings.LastIndexByte(name, '/'); cut >= 0 {
		var err error
		if dir, err = r.folder(path[:cut]); err != nil {
			return err
		}
		defer func() { _ = unix.Close(dir) }()
		name = name[cut+1:]
	}
	if err := f(dir, name); err != nil {
		return failed(op, path, crowded(dir, err))
	}
	return nil
}

func failed(op string, path wire.Path, err error) error {
	return &fs.PathError{Op: op, Path: string(path), Err: err}
}

func openat(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, mode)
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// Lstat looks at an entry.
func (r *Root) Lstat(path wire.Path) (Info, error) {
	if path == wire.Root {
		return r.self()
	}
	var info Info
	err := r.in("lstat", path, func(dir int, name string) (err error) {
		info, err = lstat(dir, name, path)
		return err
	})
	return info, err
}

func (r *Root) self() (Info, error) {
	var st unix.Stat_t
	if err := unix.Fstat(r.fd, &st); err != nil {
		return Info{}, failed("lstat", wire.Root, err)
	}
	return infoOf(wire.Root, &st), nil
}

func lstat(dir int, name string, path wire.Path) (Info, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return Info{}, err
	}
	info := infoOf(path, &st)
	if info.Kind != Link {
		return info, nil
	}
	target := make([]byte, wire.MaxPath+1)
	n, err := unix.Readlinkat(dir, name, target)
	if errors.Is(err, unix.EINVAL) { // no link any more
		return Info{}, fmt.Errorf("%w now", ErrKind)
	}
	if err != nil {
		return Info{}, err
	}
	info.Target = wire.Path(target[:n])
	return info, nil
}

func infoOf(path wire.Path, st *unix.Stat_t) Info {
	info := Info{
		Path: path, Inode: st.Ino, Mode: uint32(st.Mode) & 0o7777, UID: int(st.Uid), GID: int(st.Gid),
		MTime: unix.TimespecToNsec(st.Mtim), ATime: unix.TimespecToNsec(st.Atim), CTime: unix.TimespecToNsec(st.Ctim),
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		info.Kind, info.Size = File, st.Size
		if allocated := st.Blocks * 512; allocated < info.Size {
			info.Data = max(1, allocated)
		}
	case unix.S_IFDIR:
		info.Kind = Dir
	case unix.S_IFLNK:
		info.Kind = Link
	}
	return info
}

// Space is how many bytes the filesystem has room for.
func (r *Root) Space() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(r.fd, &st); err != nil {
		return 0, failed("statfs", wire.Root, err)
	}
	return int64(st.Bavail) * int64(st.Bsize), nil //nolint:unconvert // their types differ between machines
}

// NotFound says whether an error means that the name, or a folder above it, is free.
func NotFound(err error) bool { return errors.Is(err, unix.ENOENT) }

// Impossible says whether an error means that the names themselves don't allow
// it: a folder into itself, a path of no proper form, a folder in a file's place.
func Impossible(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENAMETOOLONG) || errors.Is(err, unix.EISDIR) || NotEmpty(err)
}
