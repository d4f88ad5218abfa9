package volume

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// copying carries one tree into an empty one, each through its root. Pipes,
// sockets and devices are left out, as in a move; holes stay holes.
type copying struct {
	from, to *files.Root
	buffer   []byte
	other    []byte
	bytes    int64
	done     func(bytes int64) // told now and again
}

const copyPiece = 1 << 20

// run copies everything, then compares both trees.
func (c *copying) run(ctx context.Context) error {
	c.buffer, c.other = make([]byte, copyPiece), make([]byte, copyPiece)
	if err := walk(ctx, c.from, func(info files.Info) error { return c.one(ctx, info) }); err != nil {
		return err
	}
	// Folders last: what is made in one changes its times.
	err := walk(ctx, c.from, func(info files.Info) error {
		if info.Kind != files.Dir {
			return nil
		}
		return c.dress(info)
	})
	if err != nil {
		return err
	}
	return c.compare(ctx)
}

func (c *copying) one(ctx context.Context, info files.Info) error {
	switch info.Kind {
	case files.Dir:
		if info.Path == wire.Root {
			return nil
		}
		return c.to.Mkdir(info.Path)
	case files.Link:
		if err := c.to.Symlink(info.Target, info.Path); err != nil {
			return err
		}
		return c.dress(info)
	case files.File:
		if err := c.file(ctx, info.Path); err != nil {
			return err
		}
		return c.dress(info)
	default:
		return nil
	}
}

// dress gives a copy its owner, mode and times.
func (c *copying) dress(info files.Info) error {
	made, err := c.to.Lstat(info.Path)
	if err != nil {
		return err
	}
	_, err = c.to.Apply(made, files.Meta{Mode: info.Mode, UID: info.UID, GID: info.GID, MTime: info.MTime})
	return err
}

func (c *copying) file(ctx context.Context, path wire.Path) (err error) {
	source, info, err := c.from.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, err := c.to.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if closing := target.Close(); err == nil {
			err = closing
		}
	}()
	for at := int64(0); at < info.Size; {
		start, end, err := files.Data(source, at, info.Size)
		if err != nil {
			return err
		}
		if err := c.part(ctx, source, target, start, end); err != nil {
			return err
		}
		at = end
	}
	return target.Truncate(info.Size)
}

func (c *copying) part(ctx context.Context, source, target *os.File, start, end int64) error {
	for start < end {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := source.ReadAt(c.buffer[:min(copyPiece, end-start)], start)
		if n == 0 {
			if errors.Is(err, io.EOF) {
				return changed("")
			}
			return err
		}
		if _, err := target.WriteAt(c.buffer[:n], start); err != nil {
			return err
		}
		start += int64(n)
		c.count(int64(n))
	}
	return nil
}

func (c *copying) count(n int64) {
	c.bytes += n
	c.done(c.bytes)
}

// compare goes through both trees side by side.
func (c *copying) compare(ctx context.Context) error {
	copies, err := c.to.Walk("")
	if err != nil {
		return err
	}
	defer copies.Close()
	err = walk(ctx, c.from, func(info files.Info) error {
		if info.Kind == files.Other {
			return nil
		}
		made, err := copies.Next()
		if errors.Is(err, io.EOF) {
			return changed(info.Path)
		}
		if err != nil {
			return err
		}
		if made.Path != info.Path || made.Kind != info.Kind || made.Mode != info.Mode || made.UID != info.UID || made.GID != info.GID ||
			made.Size != info.Size || made.Target != info.Target || !files.SameTime(made.MTime, info.MTime) {
			return changed(info.Path)
		}
		if info.Kind != files.File {
			return nil
		}
		return c.same(ctx, info.Path)
	})
	if err != nil {
		return err
	}
	if left, err := copies.Next(); !errors.Is(err, io.EOF) {
		return errors.Join(changed(left.Path), err)
	}
	return nil
}

// same compares the content of a file, holes as what they are read as.
func (c *copying) same(ctx context.Context, path wire.Path) error {
	source, info, err := c.from.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }()
	target, _, err := c.to.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = target.Close() }()
	for at := int64(0); at < info.Size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		start, end, err := files.Data(source, at, info.Size)
		if err != nil {
			return err
		}
		for start < end {
			piece := min(copyPiece, end-start)
			if _, err := source.ReadAt(c.buffer[:piece], start); err != nil {
				return err
			}
			if _, err := target.ReadAt(c.other[:piece], start); err != nil {
				return err
			}
			if !bytes.Equal(c.buffer[:piece], c.other[:piece]) {
				return changed(path)
			}
			start += piece
			c.count(piece)
		}
		at = end
	}
	return nil
}

func changed(path wire.Path) error {
	return problem.New(problem.Conflict, "files of the instance changed while its disk was copied; it is tried again at the next stop").
		Because(fmt.Errorf("at %q", string(path)))
}
