package transfer

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/berth-panel/berth/agent/archive"
	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func checkBundle(b wire.FileBundle) error {
	if err := valid("folder", b.Folder, true); err != nil {
		return err
	}
	switch b.Format {
	case wire.ArchiveZip, wire.ArchiveTar, wire.ArchiveTarGz, wire.ArchiveTarXz, wire.ArchiveTarZs:
	default:
		return problem.Invalid("format", "must be zip, tar, tar.gz, tar.xz or tar.zst")
	}
	if len(b.Paths) == 0 {
		return nil
	}
	for n, path := range b.Paths {
		if path.Valid() && !b.Folder.Above(path) {
			return problem.Invalid(fmt.Sprintf("paths[%d]", n), "must lie beneath the folder")
		}
	}
	return validAll("paths", b.Paths)
}

// bundle sends entries as an archive that is made on the way.
func (s *Store) bundle(c *call) error {
	var body wire.FileBundle
	if err := c.decode(&body); err != nil {
		return err
	}
	if err := checkBundle(body); err != nil {
		return problem.From(err)
	}
	at, err := s.open(c.id)
	if err != nil {
		return err
	}
	defer at.close()
	if err := at.there(body); err != nil { // said in a proper answer, not by breaking one off
		return err
	}
	c.w.Header().Set("Content-Type", "application/octet-stream")
	p := packer{Context: c, site: at, to: c.flow, count: func(int64, int64) {}}
	return at.explain(p.pack(body), "")
}

// there says whether what is to be packed is there.
func (s *site) there(b wire.FileBundle) error {
	folder, err := s.data.Sub(b.Folder)
	if err != nil {
		return s.explain(err, b.Folder)
	}
	_ = folder.Close()
	for _, path := range b.Paths {
		if _, err := s.data.Lstat(path); err != nil {
			return s.explain(err, path)
		}
	}
	return nil
}

// archive packs entries into a new file.
func (w *work) archive(body wire.FileArchive) error {
	if err := w.there(body.FileBundle); err != nil {
		return err
	}
	part, err := w.newPart()
	if err != nil {
		return err
	}
	defer w.discard(part)
	w.task.say(-1, "packing into %s", printable(body.To))
	p := packer{Context: w, site: w.site, to: charged{part.file, w.room}, count: w.task.count}
	if err := p.pack(body.FileBundle); err != nil {
		return err
	}
	if err := files.Sync(part.file); err != nil {
		return err
	}
	if err := w.step(); err != nil {
		return err
	}
	_, err = w.put(part, body.To, rule{match: "-", mode: 0o644})
	return err
}

// charged takes from a budget what is written.
type charged struct {
	to   io.Writer
	room *budget
}

func (c charged) Write(p []byte) (int, error) {
	if err := c.room.take(int64(len(p))); err != nil {
		return 0, err
	}
	return c.to.Write(p)
}

// packer packs entries, in the order of their paths.
type packer struct {
	context.Context
	*site
	to    io.Writer
	count func(files, bytes int64)
	base  wire.Path
	out   *archive.Writer
}

func (p *packer) pack(b wire.FileBundle) (err error) {
	p.base = b.Folder
	if p.out, err = archive.NewWriter(b.Format, p.to); err != nil {
		return err
	}
	paths := b.Paths
	if len(paths) == 0 {
		paths = []wire.Path{b.Folder}
	}
	for _, path := range paths {
		if err := p.tree(path); err != nil {
			p.out.Abandon()
			return p.explain(err, path)
		}
	}
	return p.out.Close()
}

// tree adds an entry and all that is in it.
func (p *packer) tree(path wire.Path) error {
	info, err := p.data.Lstat(path)
	if err != nil {
		return err
	}
	return throughout(p.data, info, func(from *files.Root, entry files.Info, beneath wire.Path) error {
		return p.add(from, entry, join(path, beneath))
	})
}

// add adds one entry of a folder, which is path in the volume. What can't be
// packed is left out, and the folder itself that the names begin in.
func (p *packer) add(from *files.Root, info files.Info, path wire.Path) error {
	if p.Err() != nil {
		return context.Cause(p)
	}
	if path == p.base || info.Kind == files.Other {
		return nil
	}
	name := path
	if p.base != wire.Root {
		name = path[len(p.base)+1:]
	}
	p.count(1, 0)
	e := archive.Entry{Path: name, Mode: info.Mode & 0o777, MTime: time.Unix(0, info.MTime)}
	switch info.Kind {
	case files.Dir:
		e.Kind = archive.Dir
		return p.out.Add(e, nil)
	case files.Link:
		e.Kind, e.Target = archive.Link, string(info.Target)
		return p.out.Add(e, nil)
	}
	file, now, err := from.Open(info.Path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	e.Kind, e.Size = archive.File, now.Size
	return p.out.Add(e, &watched{Context: p, from: file, count: p.count})
}

// watched is a reader that ends with its context.
type watched struct {
	context.Context
	from  io.Reader
	count func(files, bytes int64)
}

func (w *watched) Read(b []byte) (int, error) {
	if w.Err() != nil {
		return 0, context.Cause(w)
	}
	n, err := w.from.Read(b)
	w.count(0, int64(n))
	return n, err
}
