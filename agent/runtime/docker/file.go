package docker

import (
	"archive/tar"
	"context"
	"io"
	"path"

	"github.com/berth-panel/berth/agent/runtime"
)

// mostLinks is how many links in a row ReadFile follows.
const mostLinks = 8

// ReadFile gives the first limit bytes of a regular file. Links are resolved by
// the engine inside the container's root; none leads out of it.
func (e *Engine) ReadFile(ctx context.Context, id runtime.ContainerID, name string, limit int64) ([]byte, error) {
	c, err := e.own(ctx, id)
	if err != nil {
		return nil, err
	}
	at := path.Join("/", name)
	for range mostLinks {
		text, link, err := e.readOnce(ctx, c.ID, at, limit)
		if err != nil || link == "" {
			return text, err
		}
		at = path.Join("/", link)
	}
	return nil, runtime.Fail(runtime.Missing, nil, "%s leads through too many links", shorten(name))
}

// readOnce gives the file's bytes, or where the link that is there leads.
func (e *Engine) readOnce(ctx context.Context, id, at string, limit int64) (text []byte, link string, err error) {
	archive, found, err := e.api.CopyFromContainer(ctx, id, at)
	if err != nil {
		return nil, "", fileFailure(ctx, shorten(at), err)
	}
	defer func() { _ = archive.Close() }() // the engine stops sending
	entries := tar.NewReader(archive)
	head, err := entries.Next()
	if err != nil {
		return nil, "", fileFailure(ctx, shorten(at), err)
	}
	switch head.Typeflag {
	case tar.TypeSymlink:
		if found.LinkTarget == "" || found.LinkTarget == at {
			return nil, "", runtime.Fail(runtime.Missing, nil, "%s is a link to nowhere", shorten(at))
		}
		return nil, found.LinkTarget, nil
	case tar.TypeReg:
	default:
		return nil, "", runtime.Fail(runtime.Missing, nil, "%s is not a regular file", shorten(at))
	}
	text, err = io.ReadAll(io.LimitReader(entries, max(limit, 0)))
	if err != nil {
		return nil, "", fileFailure(ctx, shorten(at), err)
	}
	return text, "", nil
}
