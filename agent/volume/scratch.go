package volume

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// Parts opens scratch room beside an instance's data: the same filesystem and the
// same limit, but nothing that its container sees. It is made when it is missing.
// It is not the room of a volume that is being copied here, which Adopt clears.
// What is in it goes away when the volume is converted, and does not move with
// it. Failures are as of Files.
func (s *Store) Parts(id ident.Instance) (*files.Root, error) {
	if err := check(id); err != nil {
		return nil, err
	}
	e := s.entry(id)
	if err := e.enter(); err != nil {
		return nil, err
	}
	root, err := s.openScratch(id)
	if err != nil {
		e.leave()
		return nil, err
	}
	root.OnClose(e.leave)
	return root, nil
}

func (s *Store) openScratch(id ident.Instance) (*files.Root, error) {
	p, err := s.find(id, string(id))
	if err == nil {
		err = s.mounted(p)
	}
	if err != nil {
		return nil, err
	}
	name := p.beside(scratch)
	if err := s.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, s.Explain(id, fmt.Errorf("make scratch room in volume %s: %w", id, err))
	}
	if p.Driver == wire.VolumeProject { // or nothing could be moved from it
		if err := (projectDriver{s}).adopt(p, name); err != nil {
			return nil, err
		}
	}
	return s.open(name)
}
