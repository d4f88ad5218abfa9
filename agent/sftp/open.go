package sftp

import (
	"context"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/pkg/sftp"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/wire"
)

// modeOfNew is for files whose client says nothing.
const modeOfNew = 0o644

// opened is an open file. The library calls it from several goroutines. It keeps
// the volume open: one that is converted would leave the file behind.
type opened struct {
	view   *view
	volume *files.Root
	file   *os.File
	leave  func()

	mu      sync.Mutex
	written int64 // in all
	room    int64 // of what was asked for, and not written yet
}

// roomAtOnce is how much room is asked for at the most; a file begins with as
// much as it writes, so that many small ones aren't counted as large.
const roomAtOnce = 1 << 20

// reserve asks for room, if what was asked for doesn't do.
func (o *opened) reserve(bytes int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.room < bytes {
		more := max(bytes-o.room, min(o.written, roomAtOnce))
		if err := o.view.service.Volumes.Room(o.view.guest.instance, more); err != nil {
			return err
		}
		o.room += more
	}
	o.room -= bytes
	o.written += bytes
	return nil
}

// Fileread opens a regular file for reading.
func (v *view) Fileread(r *sftp.Request) (io.ReaderAt, error) {
	return v.open(r.Filepath, v.at, func(root *files.Root, at wire.Path) (*os.File, error) {
		file, _, err := root.Open(at)
		if err == nil {
			v.diary.note("read", at, "")
		}
		return file, err
	})
}

// Filewrite opens a regular file for writing in place, and makes it if it is
// asked to.
func (v *view) Filewrite(r *sftp.Request) (io.WriterAt, error) { return v.OpenFile(r) }

// OpenFile is Filewrite for reading too.
func (v *view) OpenFile(r *sftp.Request) (sftp.WriterAtReaderAt, error) {
	// Append is a hint at what the client does: each write says where. Several are
	// carried out at a time, so that their own order would be worth nothing.
	flags, mode := r.Pflags(), openMode(r.Attrs)
	return v.open(r.Filepath, v.change, func(root *files.Root, at wire.Path) (*os.File, error) {
		meta, err := owner(root, mode)
		if err != nil {
			return nil, err
		}
		file, err := root.Edit(at, files.How{Create: flags.Creat, Fresh: flags.Creat && flags.Excl, Truncate: flags.Trunc, Meta: meta})
		if err == nil {
			v.diary.note("written", at, "")
		}
		return file, err
	})
}

// openMode is the mode that a client asks for. The library drops what says which
// attributes follow: OpenSSH sends the mode, alone or before two times; whatever
// looks otherwise counts as nothing.
func openMode(attributes []byte) uint32 {
	if n := len(attributes); n == 4 || n == 12 {
		if mode := binary.BigEndian.Uint32(attributes) & 0o777; mode != 0 {
			return mode
		}
	}
	return modeOfNew
}

type within func(p string, do func(*files.Root, wire.Path) error) error

func (v *view) open(p string, in within, open func(*files.Root, wire.Path) (*os.File, error)) (*opened, error) {
	leave, err := v.handle()
	if err != nil {
		return nil, err
	}
	o := &opened{view: v, leave: leave}
	if o.volume, err = v.volume(); err == nil {
		err = in(p, func(root *files.Root, at wire.Path) (err error) {
			if at == wire.Root {
				return errSpecial
			}
			o.file, err = open(root, at)
			return err
		})
	}
	if err != nil {
		if o.volume != nil {
			_ = o.volume.Close()
		}
		leave()
		return nil, err
	}
	return o, nil
}

// ReadAt is the library's.
func (o *opened) ReadAt(p []byte, offset int64) (int, error) {
	if cause := context.Cause(o.view.ctx); cause != nil {
		return 0, shown(cause)
	}
	n, err := o.file.ReadAt(p, offset)
	return n, shown(err)
}

// WriteAt is the library's.
func (o *opened) WriteAt(p []byte, offset int64) (int, error) {
	err := o.view.writable()
	if err == nil {
		err = o.reserve(int64(len(p)))
	}
	if err != nil {
		return 0, shown(err)
	}
	if offset < 0 {
		return 0, fs.ErrInvalid
	}
	n, err := o.file.WriteAt(p, offset)
	return n, shown(err)
}

// Close is the library's.
func (o *opened) Close() error {
	defer o.leave()
	defer func() { _ = o.volume.Close() }()
	return shown(o.file.Close())
}
