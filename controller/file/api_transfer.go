package file

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	binary = "application/octet-stream"
	plain  = "text/plain; charset=utf-8"
	// locked lets a page that is made of a customer's file do nothing at all.
	locked = "default-src 'none'; frame-ancestors 'none'; sandbox"
)

// FileTicketBody says what is to be downloaded: a file, or entries as an archive.
type FileTicketBody struct {
	Path   string          `json:"path,omitempty" doc:"Of a file"`
	Inline bool            `json:"inline,omitempty" doc:"The file as plain text, to be looked at"`
	Bundle *FileBundleBody `json:"bundle,omitempty" doc:"Instead of path: several entries, or a folder, as one archive"`
}

// FileBundleBody names what an archive is made of.
type FileBundleBody struct {
	Folder string   `json:"folder,omitempty" doc:"Names in the archive begin here; absent: the volume"`
	Paths  []string `json:"paths,omitempty" maxItems:"1000" doc:"Within it; none: all of it"`
	Format string   `json:"format" enum:"zip,tar,tar.gz,tar.xz,tar.zst"`
}

// FileTicketView is an address that works once.
type FileTicketView struct {
	URL       string    `json:"url" doc:"On this controller; it works once, without a key"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Redacted gives it without the secret.
func (v FileTicketView) Redacted() any { return FileTicketView{ExpiresAt: v.ExpiresAt} }

type ticketInput struct {
	instance.InstancePath
	Body FileTicketBody
}

func param(name, doc string, required bool) httpapi.Param {
	return httpapi.Param{Name: name, Doc: doc, Required: required}
}

func header(name, doc string) httpapi.Param { return httpapi.Param{Name: name, In: "header", Doc: doc} }

// mountTransfers registers what has a long body.
func (s *Service) mountTransfers(a *httpapi.API, look, change access.Rule) {
	get := operation("readFile", http.MethodGet, "/content", "Download a file, or a part of it", look, 0)
	get.Description = "Always as an attachment of application/octet-stream, or with inline=text as plain text. With Range a part (206), with If-None-Match and an ETag nothing when it is the same (304)."
	get.Params = []httpapi.Param{param("path", pathDoc, true), param("inline", "text: as plain text", false),
		header("Range", "bytes=FROM-TO, one range"), header("If-Range", "An ETag: the part only of that very file"), header("If-None-Match", "An ETag")}
	httpapi.HandleTransfer(a, get, httpapi.Shape{Gives: binary, Statuses: []int{http.StatusPartialContent, http.StatusNotModified}}, s.handleRead)
	head := operation("headFile", http.MethodHead, "/content", "What a download would begin with", look, 0)
	head.Params = get.Params[:1]
	httpapi.HandleTransfer(a, head, httpapi.Shape{}, s.handleHead)
	put := operation("writeFile", http.MethodPut, "/content", "Write a small file as a whole", change, 0)
	put.Description = "At most 10 MiB; larger ones are uploaded. If-Match with the ETag that was read keeps two editors apart: the second gets 412 with the code CONFLICT. If-None-Match: * writes only a new file."
	put.BodyLimit, put.Answers = wire.FileEditMax, FileEntryView{}
	put.Params = []httpapi.Param{param("path", pathDoc, true), header("If-Match", "An ETag, or * for any file that is there"), header("If-None-Match", "*: only a new one")}
	httpapi.HandleTransfer(a, put, httpapi.Shape{Takes: binary}, s.handleWrite)
	bundle := operation("bundleFiles", http.MethodGet, "/bundle", "Download a folder, or entries of it, as an archive", look, 0)
	bundle.Params = []httpapi.Param{param("path", "The folder; absent: the volume", false), param("paths", "Within it, as often as there are; none: all of it", false),
		param("format", "zip, tar, tar.gz, tar.xz or tar.zst; absent: zip", false)}
	httpapi.HandleTransfer(a, bundle, httpapi.Shape{Gives: binary}, s.handleBundle)
	httpapi.Handle(a, operation("createFileTicket", http.MethodPost, "/ticket", "Get an address for a download that works once, for browsers", look, http.StatusCreated), s.handleTicket)
	httpapi.HandleTransfer(a, httpapi.Operation{ID: "downloadByTicket", Method: http.MethodGet, Path: "/api/v1/downloads/{ticket}", Tag: tag, Access: access.Public(),
		Summary: "Download what a ticket is for"}, httpapi.Shape{Gives: binary}, s.handleDownload)
	httpapi.HandleTransfer(a, httpapi.Operation{ID: "headByTicket", Method: http.MethodHead, Path: "/api/v1/downloads/{ticket}", Tag: tag, Access: access.Public(),
		Summary: "Refused: looking would use the ticket up", Status: http.StatusMethodNotAllowed}, httpapi.Shape{}, refuseHead)
}

func refuseHead(context.Context, *httpapi.Transfer) (httpapi.Answer, error) {
	return httpapi.Answer{Header: map[string]string{"Allow": http.MethodGet}}, problem.New(problem.MethodNotAllowed, "a ticket is for one GET")
}

func instanceOf(t *httpapi.Transfer) ident.Instance { return ident.Instance(t.Param("id")) }

func (s *Service) handleRead(ctx context.Context, t *httpapi.Transfer) (httpapi.Answer, error) {
	p, err := pathOf("path", t.Query("path"))
	if err != nil {
		return httpapi.Answer{}, err
	}
	inline := t.Query("inline")
	if inline != "" && inline != "text" {
		return httpapi.Answer{}, problem.Invalid("inline", "text, or nothing")
	}
	content, err := s.Read(ctx, access.From(ctx), instanceOf(t), p, Conditions{
		Range: t.Header("Range"), IfRange: t.Header("If-Range"), IfNoneMatch: t.Header("If-None-Match"), IfModifiedSince: t.Header("If-Modified-Since"),
	})
	if err != nil {
		return httpapi.Answer{}, err
	}
	return sent(content, base(p), inline != "")
}

// sent answers with a file that is never a page of ours.
func sent(c Content, name string, inline bool) (httpapi.Answer, error) {
	out := httpapi.Answer{Status: c.Status, Header: c.Header, Type: binary, Size: c.Size, Body: c.Body}
	out.Header["Cache-Control"] = "private, no-cache"
	out.Header["Content-Security-Policy"] = locked
	out.Header["Content-Disposition"] = disposition("attachment", name)
	if inline {
		out.Type = plain
		out.Header["Content-Disposition"] = disposition("inline", name)
	}
	switch c.Status {
	case http.StatusNotModified:
		out.Body, out.Type = nil, ""
		return out, c.Body.Close()
	case http.StatusRequestedRangeNotSatisfiable:
		_ = c.Body.Close() // an error's text
		only := httpapi.Answer{Header: map[string]string{"Content-Range": c.Header["Content-Range"]}}
		return only, httpapi.As(c.Status, problem.New(problem.BadRequest, "the file has no such part: Content-Range says how long it is"))
	}
	return out, nil
}

func (s *Service) handleHead(ctx context.Context, t *httpapi.Transfer) (httpapi.Answer, error) {
	p, err := pathOf("path", t.Query("path"))
	if err != nil {
		return httpapi.Answer{}, err
	}
	e, err := s.Entry(ctx, access.From(ctx), instanceOf(t), p)
	if err == nil && e.Kind != wire.EntryFile {
		err = problem.New(problem.Conflict, "%s is no file", text(p))
	}
	if err != nil {
		return httpapi.Answer{}, err
	}
	return httpapi.Answer{Type: binary, Header: map[string]string{
		"Content-Length": strconv.FormatInt(e.Size, 10), "Etag": viewOf(e).ETag, "Last-Modified": e.MTime.UTC().Format(http.TimeFormat), "Accept-Ranges": "bytes",
		"Cache-Control": "private, no-cache", "Content-Disposition": disposition("attachment", base(p)),
	}}, nil
}

func (s *Service) handleWrite(ctx context.Context, t *httpapi.Transfer) (httpapi.Answer, error) {
	p, err := entryOf("path", t.Query("path"))
	if err != nil {
		return httpapi.Answer{}, err
	}
	match, err := matchOf(t.Header("If-Match"), t.Header("If-None-Match"))
	if err != nil {
		return httpapi.Answer{}, err
	}
	entry, err := s.Write(ctx, access.From(ctx), instanceOf(t), p, match, t.Body, t.Size)
	if isAbout(err, problem.Conflict, "match") {
		err = httpapi.As(http.StatusPreconditionFailed, err)
	}
	if err != nil {
		return httpapi.Answer{}, err
	}
	view := viewOf(entry)
	return httpapi.Answer{Data: view, Header: map[string]string{"Etag": view.ETag}}, nil
}

func (s *Service) handleBundle(ctx context.Context, t *httpapi.Transfer) (httpapi.Answer, error) {
	format := t.Query("format")
	if format == "" {
		format = string(wire.ArchiveZip)
	}
	b, err := bundleOf("", t.Query("path"), t.Queries("paths"), format)
	if err != nil {
		return httpapi.Answer{}, renamed(err, "folder", "path")
	}
	content, err := s.Bundle(ctx, access.From(ctx), instanceOf(t), b)
	if err != nil {
		return httpapi.Answer{}, err
	}
	return packed(content, b, instanceOf(t))
}

// renamed is a problem of one field under the name that it has here.
func renamed(err error, from, to string) error {
	p := problem.From(err)
	if len(p.Fields) != 1 || p.Fields[0].Field != from {
		return err
	}
	return problem.Invalid(to, "%s", p.Fields[0].Message)
}

func packed(content Content, b wire.FileBundle, id ident.Instance) (httpapi.Answer, error) {
	out, err := sent(content, bundleName(b, string(id)), false)
	out.Type = mediaTypes[b.Format]
	return out, err
}

func (s *Service) handleTicket(ctx context.Context, in *ticketInput) (FileTicketView, error) {
	want := Wanted{Instance: ident.Instance(in.ID), Inline: in.Body.Inline}
	var err error
	switch b := in.Body.Bundle; {
	case b != nil && in.Body.Path != "":
		err = problem.Invalid("bundle", "either this or path, not both")
	case b != nil:
		var bundle wire.FileBundle
		bundle, err = bundleOf("bundle.", b.Folder, b.Paths, b.Format)
		want.Bundle = &bundle
	default:
		want.Path, err = entryOf("path", in.Body.Path)
	}
	if err != nil {
		return FileTicketView{}, err
	}
	t, err := s.Ticket(ctx, access.From(ctx), want)
	return FileTicketView{URL: "/api/v1/downloads/" + t.Text, ExpiresAt: t.Expires}, err
}

func (s *Service) handleDownload(ctx context.Context, t *httpapi.Transfer) (httpapi.Answer, error) {
	want, content, err := s.Redeem(ctx, strings.TrimSpace(t.Param("ticket")))
	if err != nil {
		return httpapi.Answer{}, err
	}
	if want.Bundle != nil {
		return packed(content, *want.Bundle, want.Instance)
	}
	return sent(content, base(want.Path), want.Inline)
}
