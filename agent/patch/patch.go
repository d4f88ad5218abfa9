package patch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Volumes are where the files are (agent/volume).
type Volumes interface {
	Files(id ident.Instance) (*files.Root, error)
	Parts(id ident.Instance) (*files.Root, error)
	Room(id ident.Instance, bytes int64) error
	Explain(id ident.Instance, err error) error
}

// Owner is whom new files and folders belong to.
type Owner struct{ UID, GID int }

// Patcher changes files of volumes. It is safe for concurrent use; one instance
// has one caller at a time.
type Patcher struct {
	volumes    Volumes
	privileged bool
	large      chan struct{} // holds one, who has a large file in memory
}

// largeFile is from which size on files wait for each other, in bytes.
const largeFile = 4 << 20

// temporary is what a file is called, beside the volume, until it takes another's
// place. It may be left by an agent that was killed.
const temporary wire.Path = "patched"

// New makes a Patcher. Without privilege files can't be given away: those that are
// made belong to the agent.
func New(volumes Volumes, privileged bool) *Patcher {
	return &Patcher{volumes: volumes, privileged: privileged, large: make(chan struct{}, 1)}
}

// Apply carries out patches in order, and may be repeated. told are the sets that
// found no place, and the files that were made, a sentence each. Failures that people can mend are
// *problem.Problem and name the file, and the line where there is one.
func (p *Patcher) Apply(ctx context.Context, id ident.Instance, patches []wire.Patch, owner Owner) (told []string, err error) {
	if len(patches) == 0 {
		return nil, nil
	}
	root, err := p.volumes.Files(id)
	if err != nil {
		return nil, fmt.Errorf("open the volume to patch its files: %w", err)
	}
	defer func() { _ = root.Close() }()
	for _, one := range patches {
		if err := ctx.Err(); err != nil {
			return told, err
		}
		notes, err := p.file(ctx, root, id, one, owner)
		for _, note := range notes {
			told = append(told, one.Path+": "+note)
		}
		if err != nil {
			return told, p.volumes.Explain(id, explain(one.Path, err))
		}
	}
	return told, nil
}

func (p *Patcher) file(ctx context.Context, root *files.Root, id ident.Instance, one wire.Patch, owner Owner) ([]string, error) {
	at := wire.Path(path.Clean(one.Path))
	src, meta, leave, err := p.read(ctx, root, at, owner)
	if err != nil {
		return nil, err
	}
	defer leave()
	out, told, err := within(one.Parser, src, one.Set, ctx.Err)
	if err != nil || len(out) == 0 && len(src) == 0 || len(out) == len(src) && &out[0] == &src[0] {
		return told, err
	}
	if len(out) > wire.PatchMost {
		return told, problem.New(problem.TooLarge, "%s would be larger than the %d MiB that are patched", one.Path, wire.PatchMost>>20)
	}
	if more := int64(len(out) - len(src)); more > 0 {
		if err := p.volumes.Room(id, more); err != nil {
			return told, err
		}
	}
	err = p.write(root, id, at, out, meta)
	if files.NotFound(err) { // who tidies the parts took it away, once in the agent's life
		err = p.write(root, id, at, out, meta)
	}
	if src == nil && err == nil {
		told = append(told, "it was not there, and is made with the settings of the image")
	}
	return told, err
}

// read gives a file's text and what is to be kept of it; nothing and nil where
// there is none. leave must be called when neither is needed any more.
func (p *Patcher) read(ctx context.Context, root *files.Root, at wire.Path, owner Owner) (src []byte, meta files.Meta, leave func(), err error) {
	meta = files.Meta{Mode: 0o644, UID: owner.UID, GID: owner.GID}
	leave = func() {}
	file, info, err := root.Open(at)
	if files.NotFound(err) {
		if !p.privileged {
			self, err := root.Lstat(wire.Root)
			meta.UID, meta.GID = self.UID, self.GID
			return nil, meta, leave, err
		}
		return nil, meta, leave, nil
	}
	if err != nil {
		return nil, meta, leave, err
	}
	defer func() { _ = file.Close() }()
	if info.Size > wire.PatchMost {
		return nil, meta, leave, tooLarge(at)
	}
	if info.Size > largeFile {
		select {
		case p.large <- struct{}{}:
			leave = func() { <-p.large }
		case <-ctx.Done():
			return nil, meta, leave, ctx.Err()
		}
	}
	text := bytes.NewBuffer(make([]byte, 0, info.Size+bytes.MinRead))
	_, err = text.ReadFrom(io.LimitReader(file, wire.PatchMost+1))
	if err == nil && text.Len() > wire.PatchMost {
		err = tooLarge(at)
	}
	if err != nil {
		leave()
		return nil, meta, func() {}, err
	}
	return text.Bytes(), files.Meta{Mode: info.Mode, UID: info.UID, GID: info.GID}, leave, nil
}

func tooLarge(at wire.Path) *problem.Problem {
	return problem.New(problem.TooLarge, "%s is larger than the %d MiB that are patched; make it smaller, or take its patch out of the image", string(at), wire.PatchMost>>20)
}

// write puts a text in a file's place at once.
func (p *Patcher) write(root *files.Root, id ident.Instance, at wire.Path, text []byte, meta files.Meta) error {
	dir := wire.Path(path.Dir(string(at)))
	if err := root.MakeDirs(dir, files.Meta{Mode: 0o755, UID: meta.UID, GID: meta.GID}); err != nil {
		return err
	}
	parts, err := p.volumes.Parts(id)
	if err != nil {
		return err
	}
	defer func() { _ = parts.Close() }()
	if err := parts.Remove(temporary); err != nil && !files.NotFound(err) {
		return err
	}
	file, err := parts.Edit(temporary, files.How{Create: true, Fresh: true, Meta: meta})
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if err == nil {
		err = files.Sync(file)
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = parts.Move(temporary, root, at)
	}
	if err != nil {
		_ = parts.Remove(temporary)
	}
	return err
}

// explain makes a failure one for people, where they can do something about it.
func explain(name string, err error) error {
	var line *Error
	switch {
	case errors.As(err, &line):
		return problem.New(problem.Conflict, "%s, line %d: %s. Mend the file, or delete it if the program makes it anew", name, line.Line, line.Why)
	case !files.NotFound(err) && (files.Gone(err) || files.Impossible(err)):
		return problem.New(problem.Conflict, "%s can't be changed before the start: it, or a folder above it, is a link, a pipe or something else. Put a regular file there", name).Because(err)
	default:
		return fmt.Errorf("patch %s: %w", name, err)
	}
}
