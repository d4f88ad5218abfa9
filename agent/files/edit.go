package files

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/wire"
)

// How says what Edit does about a file that is there, or isn't.
type How struct {
	Create   bool // make it when it is missing, with Meta's mode and owner
	Fresh    bool // with Create: fs.ErrExist when anything has the name
	Truncate bool
	Meta     Meta
}

// Edit opens a regular file for reading and writing in place.
func (r *Root) Edit(path wire.Path, how How) (*os.File, error) {
	for {
		if !how.Fresh {
			file, err := r.edit(path)
			if err == nil && how.Truncate {
				if err = file.Truncate(0); err != nil {
					_ = file.Close()
				}
			}
			if !how.Create || !errors.Is(err, unix.ENOENT) {
				return file, err
			}
		}
		file, err := r.New(path)
		if !how.Fresh && errors.Is(err, unix.EEXIST) { // it came meanwhile
			if info, looked := r.Lstat(path); looked == nil && info.Kind != File {
				return nil, failed("open", path, ErrKind)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := dress(file, how.Meta); err != nil {
			_ = file.Close()
			return nil, failed("create", path, err)
		}
		return file, nil
	}
}

func (r *Root) edit(path wire.Path) (*os.File, error) {
	var file *os.File
	err := r.in("open", path, func(dir int, name string) error {
		fd, err := openKind(dir, name, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, unix.S_IFREG)
		if err == nil {
			file = os.NewFile(uintptr(fd), string(path))
		}
		return err
	})
	return file, err
}

// dress gives a new file its owner and mode.
func dress(file *os.File, m Meta) error {
	fd := int(file.Fd())
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if int(st.Uid) != m.UID || int(st.Gid) != m.GID {
		if err := unix.Fchown(fd, m.UID, m.GID); err != nil {
			return err
		}
	}
	return unix.Fchmod(fd, m.Mode&0o777)
}

// Folder is an open folder whose entries are read bit by bit, in no order. It has
// one user.
type Folder struct {
	path wire.Path
	file *os.File
}

// OpenFolder opens a folder. Close it.
func (r *Root) OpenFolder(path wire.Path) (*Folder, error) {
	fd, err := r.folder(path)
	if err != nil {
		return nil, err
	}
	return &Folder{path: path, file: os.NewFile(uintptr(fd), string(path))}, nil
}

// Next gives up to most entries, without the targets of links; io.EOF when there
// are no more. What vanishes meanwhile is left out.
func (d *Folder) Next(most int) ([]Info, error) {
	for {
		names, err := d.file.Readdirnames(most)
		if err != nil {
			return nil, err // names the folder
		}
		entries := make([]Info, 0, len(names))
		for _, name := range names {
			var st unix.Stat_t
			err := unix.Fstatat(int(d.file.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
			switch {
			case err == nil:
				entries = append(entries, infoOf(join(d.path, name), &st))
			case !Gone(err):
				return nil, failed("lstat", join(d.path, name), err)
			}
		}
		if len(entries) > 0 {
			return entries, nil
		}
		if len(names) == 0 {
			return nil, io.EOF
		}
	}
}

// Close frees the descriptor.
func (d *Folder) Close() error { return d.file.Close() }
