package volume

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/berth-panel/berth/shared/ident"
)

// Put writes one file into the instance's volume: what fill writes goes to a
// temporary name beside it and takes the place of path when fill has succeeded.
// path is relative to the volume's root; directories on the way are made. The
// file and those directories belong to uid:gid.
func (s *Store) Put(id ident.Instance, path string, uid, gid int, fill func(io.Writer) error) error {
	if err := check(id); err != nil {
		return err
	}
	path = filepath.Clean(path)
	if !filepath.IsLocal(path) || path == "." {
		return fmt.Errorf("%q is not a path inside a volume", path)
	}
	if err := s.Room(id, 0); err != nil {
		return err
	}
	e := s.entry(id)
	if err := e.enter(); err != nil {
		return err
	}
	defer e.leave()
	p, err := s.find(id, string(id))
	if err == nil {
		err = s.mounted(p)
	}
	if err != nil {
		return fmt.Errorf("open volume %s: %w", id, err)
	}
	volume, err := s.root.OpenRoot(p.inside())
	if err != nil {
		return fmt.Errorf("open volume %s: %w", id, err)
	}
	defer func() { _ = volume.Close() }()
	w := writer{volume: volume, uid: uid, gid: gid, privileged: s.Privileged}
	err = w.put(path, func(to io.Writer) error { return fill(charged{Writer: to, s: s, id: id}) })
	if err != nil {
		return fmt.Errorf("write into volume %s: %w", id, s.Explain(id, err))
	}
	return nil
}

// charged counts what is written, so that a plain directory's limit holds too.
type charged struct {
	io.Writer
	s  *Store
	id ident.Instance
}

func (c charged) Write(p []byte) (int, error) {
	if err := c.s.Room(c.id, int64(len(p))); err != nil {
		return 0, err
	}
	return c.Writer.Write(p)
}

type writer struct {
	volume     *os.Root
	uid, gid   int
	privileged bool
}

func (w writer) put(path string, fill func(io.Writer) error) error {
	if err := w.parents(filepath.Dir(path)); err != nil {
		return err
	}
	temporary := path + ".berth-part"
	_ = w.volume.Remove(temporary) // what an interrupted one left
	file, err := w.volume.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	err = fill(file)
	if err == nil && w.privileged {
		err = file.Chown(w.uid, w.gid)
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = w.volume.Rename(temporary, path)
	}
	if err != nil {
		_ = w.volume.Remove(temporary)
	}
	return err
}

// parents makes the directories down to dir and gives the new ones away.
func (w writer) parents(dir string) error {
	if dir == "." {
		return nil
	}
	if info, err := w.volume.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := w.parents(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := w.volume.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if !w.privileged {
		return nil
	}
	return w.volume.Lchown(dir, w.uid, w.gid)
}
