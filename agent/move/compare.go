package move

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/agent/volume"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Compare makes folders, links and meta of an incoming volume be those of a page
// of its source, removes what the source hasn't got, and says which files are
// missing or differ.
func (s *Store) Compare(ctx context.Context, id ident.Instance, page wire.EntryPage) (wire.Needs, error) {
	needs := wire.Needs{Files: []wire.Need{}}
	if err := checkPage(page); err != nil {
		return needs, err
	}
	i, err := s.find(id)
	if err != nil {
		return needs, err
	}
	ctx, end, err := i.begin(ctx)
	if err != nil {
		return needs, err
	}
	defer end()
	if err := s.pageSlots.enter(ctx); err != nil {
		return needs, err
	}
	defer s.pageSlots.leave()
	s.forget(digestKey{id: id, incoming: true})
	staged, err := s.Volumes.OpenStaged(id)
	if err != nil {
		return needs, fmt.Errorf("open the incoming volume of %s: %w", id, err)
	}
	defer staged.Close()
	c := comparison{staged: staged, page: page, held: map[wire.Path]files.Info{}, needs: &needs}
	err = c.run(ctx)
	if c.discarded {
		s.sweep() //nolint:contextcheck // in the background, for longer than this call
	}
	wanted := make(map[wire.Path]bool, len(needs.Files))
	for _, need := range needs.Files {
		wanted[need.Path] = true
	}
	i.want(wanted)
	i.place(c.placed, page.After == "")
	return needs, explain(err)
}

// checkPage refuses pages that no source of ours makes.
func checkPage(page wire.EntryPage) error {
	if len(page.Entries) > wire.MaxEntries {
		return problem.Invalid("entries", "must be %d at most", wire.MaxEntries)
	}
	if page.After != "" && !page.After.Valid() {
		return problem.Invalid("after", "is no path inside a volume")
	}
	if page.After == "" && (len(page.Entries) == 0 || page.Entries[0].Path != wire.Root) {
		return problem.Invalid("entries", "must begin with the volume itself")
	}
	before := page.After
	for n, e := range page.Entries {
		field := fmt.Sprintf("entries[%d]", n)
		switch {
		case !e.Path.Valid():
			return problem.Invalid(field, "is no path inside a volume")
		case before != "" && before.Compare(e.Path) >= 0:
			return problem.Invalid(field, "is out of order")
		case e.Path == wire.Root && e.Kind != wire.EntryDir:
			return problem.Invalid(field, "the volume itself must be a folder")
		case e.Size < 0 || e.UID < 0 || e.GID < 0 || e.Mode > 0o7777:
			return problem.Invalid(field, "has a size, an owner or a mode that no file has")
		case e.Kind == wire.EntryLink && (e.Target == "" || len(e.Target) > wire.MaxPath || strings.IndexByte(string(e.Target), 0) >= 0):
			return problem.Invalid(field, "leads to what no link leads to")
		case e.Kind != wire.EntryFile && e.Kind != wire.EntryDir && e.Kind != wire.EntryLink:
			return problem.Invalid(field, "is of a kind that is not carried")
		}
		before = e.Path
	}
	return nil
}

// comparison is one call.
type comparison struct {
	staged    volume.Staged
	page      wire.EntryPage
	held      map[wire.Path]files.Info // entries of the page that are there, of the right kind
	parts     map[string]int64         // sizes of the half files
	needs     *wire.Needs
	placed    int64
	discarded bool
}

func (c *comparison) run(ctx context.Context) error {
	if err := c.clear(ctx); err != nil {
		return err
	}
	for _, e := range c.page.Entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := c.ensure(e); err != nil {
			return err
		}
	}
	return nil
}

// clear removes what the source hasn't got and finds out what is there.
func (c *comparison) clear(ctx context.Context) error {
	wanted := make(map[wire.Path]files.Kind, len(c.page.Entries))
	for _, e := range c.page.Entries {
		wanted[e.Path] = kindOf(e.Kind)
	}
	walk, err := c.staged.Data.Walk(c.page.After)
	if err != nil {
		return err
	}
	defer walk.Close()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		info, err := walk.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !c.page.Last && (len(c.page.Entries) == 0 || info.Path.Compare(c.page.Entries[len(c.page.Entries)-1].Path) > 0) {
			return nil
		}
		if kind, ok := wanted[info.Path]; ok && kind == info.Kind {
			c.held[info.Path] = info
			continue
		}
		walk.SkipDir()
		if err := c.discard(info.Path); err != nil {
			return err
		}
	}
}

// discard removes an entry; a folder with something in it only changes its place
// for now.
func (c *comparison) discard(path wire.Path) error {
	c.needs.Changed++
	err := c.staged.Data.Remove(path)
	if !files.NotEmpty(err) {
		return err
	}
	c.discarded = true
	return c.staged.Data.Move(path, c.staged.Trash, wire.Path(uuid.NewString()))
}

func kindOf(kind wire.EntryKind) files.Kind {
	switch kind {
	case wire.EntryFile:
		return files.File
	case wire.EntryDir:
		return files.Dir
	case wire.EntryLink:
		return files.Link
	}
	return files.Other
}

// ensure makes one entry be as it should, as far as that needs no content.
func (c *comparison) ensure(e wire.Entry) error {
	held, there := c.held[e.Path]
	meta := files.Meta{Mode: e.Mode, UID: e.UID, GID: e.GID, MTime: e.MTime}
	switch e.Kind {
	case wire.EntryFile:
		meta.ATime = e.CTime
		if !there || held.Size != e.Size || !files.SameTime(held.MTime, e.MTime) || !files.SameTime(held.ATime, e.CTime) {
			return c.need(e)
		}
		c.placed += e.Weight()
	case wire.EntryLink:
		if there && held.Target != e.Target {
			if err := c.staged.Data.Remove(e.Path); err != nil {
				return err
			}
			there = false
		}
	case wire.EntryDir:
	}
	if !there {
		if err := c.make(e); err != nil {
			return err
		}
		var err error
		if held, err = c.staged.Data.Lstat(e.Path); err != nil {
			return err
		}
	}
	changed, err := c.staged.Data.Apply(held, meta)
	if changed || !there {
		c.needs.Changed++
	}
	return err
}

func (c *comparison) make(e wire.Entry) error {
	if e.Kind == wire.EntryLink {
		return c.staged.Data.Symlink(e.Target, e.Path)
	}
	return c.staged.Data.Mkdir(e.Path)
}

// need asks for a file, from where the half one ends that is of this version.
func (c *comparison) need(e wire.Entry) error {
	if c.parts == nil {
		var err error
		if c.parts, err = partsOf(c.staged.Parts); err != nil {
			return err
		}
	}
	need := wire.Need{Path: e.Path}
	if size := c.parts[partName(e.Path, e.Size, e.MTime, e.CTime)]; size > 0 && size <= e.Size {
		need.Offset, need.Size, need.CTime = size, e.Size, e.CTime
	}
	c.needs.Files = append(c.needs.Files, need)
	return nil
}

// partName is the name of a half file: of its path, and of the version it is of.
func partName(path wire.Path, size, mtime, ctime int64) string {
	version := sha256.Sum256([]byte(strconv.FormatInt(size, 10) + " " + strconv.FormatInt(mtime, 10) + " " + strconv.FormatInt(ctime, 10)))
	return partPrefix(path) + hex.EncodeToString(version[:8])
}

func partPrefix(path wire.Path) string {
	sum := sha256.Sum256([]byte(path))
	return hex.EncodeToString(sum[:16]) + "-"
}

// partsOf lists the half files with their sizes.
func partsOf(parts *files.Root) (map[string]int64, error) {
	names, err := parts.Names(wire.Root)
	if err != nil {
		return nil, err
	}
	sizes := make(map[string]int64, len(names))
	for _, name := range names {
		info, err := parts.Lstat(wire.Path(name))
		if err != nil {
			return nil, err
		}
		sizes[name] = info.Size
	}
	return sizes, nil
}
