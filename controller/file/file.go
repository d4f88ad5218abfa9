package file

import (
	"net/url"
	"strings"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// The kinds of jobs. KindStop ends a task on its node after its job has ended.
const (
	KindDelete  job.Kind = "file.delete"
	KindCopy    job.Kind = "file.copy"
	KindArchive job.Kind = "file.archive"
	KindExtract job.Kind = "file.extract"
	KindPull    job.Kind = "file.pull"
	KindStop    job.Kind = "file.stop"
)

// What happened to files.
const (
	Written    event.Type = "file.written"
	Uploaded   event.Type = "file.uploaded"
	Downloaded event.Type = "file.downloaded" // its beginning was sent: a part from further on is the same download
	FolderMade event.Type = "file.folder_made"
	Renamed    event.Type = "file.renamed"
	ModeSet    event.Type = "file.mode_set"
	Deleted    event.Type = "file.deleted"
	Copied     event.Type = "file.copied"
	Archived   event.Type = "file.archived"
	Extracted  event.Type = "file.extracted"
	Pulled     event.Type = "file.pulled"
)

// ForDownload is the door that a download's ticket opens.
const ForDownload grant.Purpose = "download"

// named is how many paths an event names.
const named = 20

// pathOf reads a path's text form out of a field of the request.
func pathOf(field, text string) (wire.Path, error) {
	var p wire.Path
	if err := p.UnmarshalText([]byte(text)); err != nil {
		return "", problem.Invalid(field, "a %% must begin two lower-case hex digits that stand for a byte; a percent sign is %%25")
	}
	if !p.Valid() {
		return "", problem.Invalid(field, "a path within the volume such as config/server.properties: parts of 1 to %d bytes between single slashes, none of them . or .., at most %d bytes; . alone is the volume itself", wire.MaxName, wire.MaxPath)
	}
	return p, nil
}

// entryOf is pathOf for something in the volume, not the volume itself.
func entryOf(field, text string) (wire.Path, error) {
	p, err := pathOf(field, text)
	if err == nil && p == wire.Root {
		return "", problem.Invalid(field, "this must be something in the volume, not the volume itself")
	}
	return p, err
}

// pathsOf reads a list of them, each by read.
func pathsOf(field string, texts []string, read func(field, text string) (wire.Path, error)) ([]wire.Path, error) {
	out := make([]wire.Path, 0, len(texts))
	for n, text := range texts {
		p, err := read(index(field, n), text)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// text is a path's text form.
func text(p wire.Path) string {
	b, err := p.MarshalText()
	if err != nil {
		return "" // it has no errors to give
	}
	return string(b)
}

func texts(paths []wire.Path) []string {
	out := make([]string, 0, min(len(paths), named))
	for _, p := range paths {
		if len(out) == named {
			break
		}
		out = append(out, text(p))
	}
	return out
}

// base is a path's last part.
func base(p wire.Path) string { return string(p[strings.LastIndexByte(string(p), '/')+1:]) }

// about is what an event says of many paths.
func about(paths []wire.Path) map[string]any {
	if len(paths) == 1 {
		return map[string]any{"path": text(paths[0])}
	}
	return map[string]any{"paths": texts(paths), "count": len(paths)}
}

// shown is an address without what may be secret in it.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}
