package file

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/job"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const pathDoc = "Relative to the volume, with slashes; . is the volume. A % and each byte that isn't UTF-8 are written as % and two lower-case hex digits"

// FileEntryView is one entry of a folder.
type FileEntryView struct {
	Path   string         `json:"path" doc:"As calls take it: a % and bytes that aren't UTF-8 as % and two hex digits"`
	Name   string         `json:"name" doc:"The path's last part"`
	Kind   wire.EntryKind `json:"kind" doc:"other: a pipe, a socket, a device"`
	Mode   string         `json:"mode" doc:"Permission bits, octal: 0644"`
	UID    int            `json:"uid"`
	GID    int            `json:"gid"`
	Size   int64          `json:"size"`
	MTime  time.Time      `json:"mtime"`
	Target string         `json:"target,omitempty" doc:"Of a link, as it is written there"`
	ETag   string         `json:"etag,omitempty" doc:"Of a file: changes with its content. Send it as If-Match when writing"`
}

func viewOf(e wire.FileEntry) FileEntryView {
	v := FileEntryView{Path: text(e.Path), Name: text(wire.Path(base(e.Path))), Kind: e.Kind, Mode: octal(e.Mode), UID: e.UID, GID: e.GID, Size: e.Size, MTime: e.MTime, Target: text(e.Target)}
	if e.ETag != "" {
		v.ETag = `"` + strings.Trim(e.ETag, `"`) + `"`
	}
	return v
}

// FileDoneView says what became of the paths of a call.
type FileDoneView struct {
	Count  int               `json:"count" doc:"How many were done"`
	Failed []FileFailureView `json:"failed" doc:"Those that weren't"`
}

// FileFailureView is one path that was not done.
type FileFailureView struct {
	Path    string       `json:"path"`
	Code    problem.Code `json:"code"`
	Message string       `json:"message"`
}

func doneView(d wire.FileDone) FileDoneView {
	v := FileDoneView{Count: d.Count, Failed: []FileFailureView{}}
	for _, f := range d.Failed {
		v.Failed = append(v.Failed, FileFailureView{Path: text(f.Path), Code: f.Problem.Code, Message: f.Problem.Message})
	}
	return v
}

// FileFoundView is what a search found.
type FileFoundView struct {
	Hits   []FileHitView `json:"hits"`
	Cut    bool          `json:"cut" doc:"There may be more: the limit, or the time that a search may take, was reached"`
	Passed int           `json:"passed" doc:"Files that could not be looked into"`
}

// FileHitView is one place.
type FileHitView struct {
	FileEntryView
	Line int    `json:"line,omitempty" doc:"From 1, when text was looked for"`
	Text string `json:"text,omitempty" doc:"That line, at most 500 bytes of it"`
}

type fileList struct {
	instance.InstancePath
	httpapi.PageQuery
	Path string        `query:"path" default:"." doc:"The folder"`
	Sort wire.FileSort `query:"sort" enum:"name,size,mtime" default:"name" doc:"Folders come first in each"`
	Down bool          `query:"down" doc:"The other way round"`
}

type fileAt struct {
	instance.InstancePath
	Path string `query:"path" required:"true" doc:"Relative to the volume, with slashes"`
}

// FileFolderBody is a folder to make, with those above it that are missing.
type FileFolderBody struct {
	Path string `json:"path" minLength:"1"`
}

// FileRenameBody moves entries within the volume.
type FileRenameBody struct {
	Renames   []FileRenamePair `json:"renames" minItems:"1" maxItems:"1000"`
	Overwrite bool             `json:"overwrite,omitempty" doc:"Files that are in the way"`
}

// FileRenamePair is one of them.
type FileRenamePair struct {
	From string `json:"from" minLength:"1"`
	To   string `json:"to" minLength:"1"`
}

// FileChmodBody sets permission bits.
type FileChmodBody struct {
	Paths []string `json:"paths" minItems:"1" maxItems:"1000"`
	Mode  string   `json:"mode" pattern:"^0?[0-7]{3}$" doc:"Octal: 0755"`
}

// FileSearchBody looks for files beneath a folder: by name, by content, or both.
type FileSearchBody struct {
	Path    string `json:"path,omitempty" doc:"Absent: everywhere"`
	Name    string `json:"name,omitempty" maxLength:"255" doc:"A part of the name, or a pattern with * and ?; upper and lower case are the same"`
	Content string `json:"content,omitempty" maxLength:"1000" doc:"Text that a line holds; binary files and those over 10 MiB are passed over"`
	Case    bool   `json:"case,omitempty" doc:"Upper and lower case of content differ"`
	Limit   int    `json:"limit,omitempty" minimum:"1" maximum:"1000" doc:"100 when absent"`
}

type (
	folderInput struct {
		instance.InstancePath
		Body FileFolderBody
	}
	renameInput struct {
		instance.InstancePath
		Body FileRenameBody
	}
	chmodInput struct {
		instance.InstancePath
		Body FileChmodBody
	}
	searchInput struct {
		instance.InstancePath
		Body FileSearchBody
	}
)

const (
	prefix = "/api/v1/instances/{id}/files"
	tag    = "files"
)

func operation(id, method, path, summary string, rule access.Rule, status int) httpapi.Operation {
	return httpapi.Operation{ID: id, Method: method, Path: prefix + path, Tag: tag, Summary: summary, Access: rule, Status: status}
}

// Mount registers the operations of files.
func (s *Service) Mount(a *httpapi.API) {
	look, change := access.Uses(access.ReadFiles), access.Uses(access.WriteFiles)
	list := operation("listFiles", http.MethodGet, "", "List a folder", look, 0)
	list.Description = "Paths: " + pathDoc + ". A folder of more than 200,000 entries shows those that were read first."
	httpapi.HandlePage(a, list, s.handleList)
	httpapi.Handle(a, operation("getFile", http.MethodGet, "/entry", "Get one entry", look, 0), s.handleEntry)
	httpapi.Handle(a, operation("makeFolder", http.MethodPost, "/folder", "Make a folder, and those above it that are missing", change, http.StatusCreated), s.handleFolder)
	httpapi.Handle(a, operation("renameFiles", http.MethodPost, "/rename", "Rename or move entries within the volume", change, 0), s.handleRename)
	httpapi.Handle(a, operation("chmodFiles", http.MethodPost, "/chmod", "Set permission bits", change, 0), s.handleChmod)
	search := operation("searchFiles", http.MethodPost, "/search", "Look for files by name or content", look, 0)
	search.Timeout = time.Minute
	httpapi.Handle(a, search, s.handleSearch)
	s.mountTasks(a, change)
	s.mountTransfers(a, look, change)
	s.mountUploads(a, change)
}

func (s *Service) handleList(ctx context.Context, in *fileList) (out httpapi.Page[FileEntryView], err error) {
	p, err := pathOf("path", in.Path)
	if err != nil {
		return out, err
	}
	page, err := s.List(ctx, access.From(ctx), ident.Instance(in.ID), wire.FileQuery{Path: p, Sort: in.Sort, Down: in.Down, Page: in.Page, Limit: in.Limit})
	for _, e := range page.Entries {
		out.Items = append(out.Items, viewOf(e))
	}
	out.Total = page.Total
	if page.Cut {
		out.Message = fmt.Sprintf("the folder holds more than the %d entries that are listed here: the others are not shown, whatever the page; search finds them", page.Total)
	}
	return out, err
}

func (s *Service) handleEntry(ctx context.Context, in *fileAt) (FileEntryView, error) {
	p, err := pathOf("path", in.Path)
	if err != nil {
		return FileEntryView{}, err
	}
	e, err := s.Entry(ctx, access.From(ctx), ident.Instance(in.ID), p)
	return viewOf(e), err
}

func (s *Service) handleFolder(ctx context.Context, in *folderInput) (FileEntryView, error) {
	p, err := entryOf("path", in.Body.Path)
	if err != nil {
		return FileEntryView{}, err
	}
	e, err := s.MakeFolder(ctx, access.From(ctx), ident.Instance(in.ID), p)
	return viewOf(e), err
}

func (s *Service) handleRename(ctx context.Context, in *renameInput) (FileDoneView, error) {
	r := wire.FileRenames{Overwrite: in.Body.Overwrite}
	for n, pair := range in.Body.Renames {
		from, err := entryOf(index("renames", n)+".from", pair.From)
		if err != nil {
			return FileDoneView{}, err
		}
		to, err := entryOf(index("renames", n)+".to", pair.To)
		if err != nil {
			return FileDoneView{}, err
		}
		r.Renames = append(r.Renames, wire.FileRename{From: from, To: to})
	}
	done, err := s.Rename(ctx, access.From(ctx), ident.Instance(in.ID), r)
	return doneView(done), err
}

func (s *Service) handleChmod(ctx context.Context, in *chmodInput) (FileDoneView, error) {
	paths, err := pathsOf("paths", in.Body.Paths, entryOf)
	if err != nil {
		return FileDoneView{}, err
	}
	mode, err := strconv.ParseUint(in.Body.Mode, 8, 12)
	if err != nil {
		return FileDoneView{}, problem.Invalid("mode", "three octal digits such as 644")
	}
	done, err := s.Chmod(ctx, access.From(ctx), ident.Instance(in.ID), wire.FileChmod{Paths: paths, Mode: uint32(mode)})
	return doneView(done), err
}

func (s *Service) handleSearch(ctx context.Context, in *searchInput) (FileFoundView, error) {
	b := in.Body
	q := wire.FileSearch{Path: wire.Root, Name: b.Name, Content: b.Content, Case: b.Case, Limit: b.Limit}
	if b.Name == "" && b.Content == "" {
		return FileFoundView{}, problem.Invalid("name", "give a name, a content, or both")
	}
	if q.Limit == 0 {
		q.Limit = 100
	}
	if b.Path != "" {
		var err error
		if q.Path, err = pathOf("path", b.Path); err != nil {
			return FileFoundView{}, err
		}
	}
	found, err := s.Search(ctx, access.From(ctx), ident.Instance(in.ID), q)
	v := FileFoundView{Hits: []FileHitView{}, Cut: found.Cut, Passed: found.Passed}
	for _, h := range found.Hits {
		if h.Entry != nil {
			v.Hits = append(v.Hits, FileHitView{FileEntryView: viewOf(*h.Entry), Line: h.Line, Text: h.Text})
		}
	}
	return v, err
}

// FileDeleteBody names what is to go, folders with all that is in them.
type FileDeleteBody struct {
	Paths []string `json:"paths" minItems:"1" maxItems:"1000"`
}

// FileCopyBody copies entries into a folder.
type FileCopyBody struct {
	Paths []string `json:"paths" minItems:"1" maxItems:"1000"`
	To    string   `json:"to" doc:"A folder; a name that is taken there gets (2) and so on"`
}

// FileArchiveBody packs entries into a new file.
type FileArchiveBody struct {
	Folder string   `json:"folder,omitempty" doc:"Names in the archive begin here; absent: the volume"`
	Paths  []string `json:"paths,omitempty" maxItems:"1000" doc:"Within it; none: all of it"`
	Format string   `json:"format" enum:"zip,tar,tar.gz,tar.xz,tar.zst"`
	To     string   `json:"to" minLength:"1" doc:"The new file"`
}

// FileExtractBody unpacks an archive; what kind it is is found out.
type FileExtractBody struct {
	Path      string `json:"path" minLength:"1"`
	To        string `json:"to,omitempty" doc:"A folder; absent: the volume"`
	Overwrite bool   `json:"overwrite,omitempty"`
}

// FilePullBody downloads into the volume.
type FilePullBody struct {
	URL       string `json:"url" minLength:"1" maxLength:"4000" doc:"http or https, on the public internet"`
	To        string `json:"to" minLength:"1" doc:"A file's path, or a folder's with a / at its end: the name is the server's then"`
	Overwrite bool   `json:"overwrite,omitempty"`
}

type taskInput[B any] struct {
	instance.InstancePath
	Body B
}

// mountTasks registers what becomes a job.
func (s *Service) mountTasks(a *httpapi.API, change access.Rule) {
	op := func(id, path, summary string) httpapi.Operation {
		o := operation(id, http.MethodPost, path, summary, change, http.StatusAccepted)
		o.Idempotent = true
		return o
	}
	httpapi.Handle(a, op("deleteFiles", "/delete", "Delete entries, as a job"), ordered(s, func(b FileDeleteBody) (t wire.FileTask, err error) {
		t.Delete = &wire.FileDelete{}
		t.Delete.Paths, err = pathsOf("paths", b.Paths, entryOf)
		return t, err
	}))
	httpapi.Handle(a, op("copyFiles", "/copy", "Copy entries into a folder, as a job"), ordered(s, func(b FileCopyBody) (t wire.FileTask, err error) {
		t.Copy = &wire.FileCopy{}
		if t.Copy.Paths, err = pathsOf("paths", b.Paths, entryOf); err == nil {
			t.Copy.To, err = pathOf("to", b.To)
		}
		return t, err
	}))
	httpapi.Handle(a, op("archiveFiles", "/archive", "Pack entries into an archive, as a job"), ordered(s, archiveOf))
	httpapi.Handle(a, op("extractFile", "/extract", "Unpack an archive, as a job"), ordered(s, func(b FileExtractBody) (t wire.FileTask, err error) {
		t.Extract = &wire.FileExtract{To: wire.Root, Overwrite: b.Overwrite}
		if t.Extract.Path, err = entryOf("path", b.Path); err == nil && b.To != "" {
			t.Extract.To, err = pathOf("to", b.To)
		}
		return t, err
	}))
	httpapi.Handle(a, op("pullFile", "/pull", "Download from an address into the volume, as a job"), ordered(s, pullOf))
}

// ordered is the handler of a body that becomes a task.
func ordered[B any](s *Service, task func(B) (wire.FileTask, error)) func(context.Context, *taskInput[B]) (job.JobView, error) {
	return func(ctx context.Context, in *taskInput[B]) (job.JobView, error) {
		t, err := task(in.Body)
		if err != nil {
			return job.JobView{}, err
		}
		j, err := s.Order(ctx, access.From(ctx), ident.Instance(in.ID), t)
		return j.View(), err
	}
}

func archiveOf(b FileArchiveBody) (t wire.FileTask, err error) {
	t.Archive = &wire.FileArchive{}
	if t.Archive.FileBundle, err = bundleOf("", b.Folder, b.Paths, b.Format); err == nil {
		t.Archive.To, err = entryOf("to", b.To)
	}
	return t, err
}

// bundleOf reads what an archive is made of; field is where it stands.
func bundleOf(field, folder string, paths []string, format string) (b wire.FileBundle, err error) {
	b.Folder = wire.Root
	if folder != "" {
		if b.Folder, err = pathOf(field+"folder", folder); err != nil {
			return b, err
		}
	}
	if b.Paths, err = pathsOf(field+"paths", paths, entryOf); err != nil {
		return b, err
	}
	for n, p := range b.Paths {
		if !b.Folder.Above(p) {
			return b, problem.Invalid(index(field+"paths", n), "this is not in the folder")
		}
	}
	b.Format, err = formatOf(field+"format", format)
	return b, err
}

func pullOf(b FilePullBody) (t wire.FileTask, err error) {
	t.Pull = &wire.FilePull{URL: b.URL, Over: b.Overwrite}
	u, err := url.Parse(b.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return t, problem.Invalid("url", "an address that begins with http:// or https://")
	}
	folder, is := strings.CutSuffix(b.To, "/")
	if !is {
		t.Pull.To, err = entryOf("to", b.To)
		return t, err
	}
	p, err := pathOf("to", folder)
	t.Pull.To = p + "/"
	return t, err
}
