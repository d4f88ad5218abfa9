package file

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// FileUploadView is an upload that is under way.
type FileUploadView struct {
	ID        string      `json:"id"`
	Path      string      `json:"path"`
	Size      int64       `json:"size"`
	Overwrite bool        `json:"overwrite"`
	State     UploadState `json:"state" enum:"open,finishing,finished"`
	CreatedAt time.Time   `json:"created_at"`
	ExpiresAt time.Time   `json:"expires_at" doc:"When it is cleared away unless a part comes"`
	URL       string      `json:"url" doc:"Where its parts go"`
}

func uploadView(u Upload) FileUploadView {
	return FileUploadView{ID: u.ID, Path: text(u.Path), Size: u.Size, Overwrite: u.Overwrite, State: u.State, CreatedAt: u.Created, ExpiresAt: u.Expires(), URL: location(u)}
}

func location(u Upload) string {
	return "/api/v1/instances/" + string(u.Instance) + "/files/uploads/" + u.ID
}

// shortly bounds a call that has no long body.
const shortly = 45 * time.Second

const tusDoc = "The tus protocol 1.0.0 (tus.io): any client of it works, with the API key as one of its headers. " +
	"Upload-Metadata: path is where the file goes, or filename and path with a / at its end; overwrite is true or false."

// mountUploads registers the tus protocol.
func (s *Service) mountUploads(a *httpapi.API, change access.Rule) {
	version := header("Tus-Resumable", tusVersion)
	version.Required = true
	op := func(id, method, path, summary string, rule access.Rule, status int, params ...httpapi.Param) httpapi.Operation {
		o := operation(id, method, "/uploads"+path, summary, rule, status)
		o.BodyLimit, o.Description, o.Params = UploadMost, tusDoc, append([]httpapi.Param{version}, params...)
		return o
	}
	httpapi.Handle(a, operation("listUploads", http.MethodGet, "/uploads", "List unfinished uploads", change, 0), s.handleUploads)
	number := func(name, doc string) httpapi.Param {
		return httpapi.Param{Name: name, In: "header", Doc: doc, Integer: true}
	}
	offset, sum := number("Upload-Offset", "Where the part begins"), header("Upload-Checksum", "sha256 and the part's sum in base64")
	httpapi.HandleTransfer(a, op("createUpload", http.MethodPost, "", "Begin an upload, perhaps with its first part", change, http.StatusCreated,
		number("Upload-Length", "Bytes of the file"), header("Upload-Metadata", "path, filename, overwrite, each with its value in base64"), sum),
		httpapi.Shape{Takes: tusMedia}, tus(s.handleBegin))
	httpapi.HandleTransfer(a, op("headUpload", http.MethodHead, "/{upload}", "Ask how far an upload is", change, http.StatusOK), httpapi.Shape{}, tus(s.handleStatus))
	httpapi.HandleTransfer(a, op("appendUpload", http.MethodPatch, "/{upload}", "Add a part", change, http.StatusNoContent, offset, sum), httpapi.Shape{Takes: tusMedia}, tus(s.handleAppend))
	httpapi.HandleTransfer(a, op("dropUpload", http.MethodDelete, "/{upload}", "Drop an upload", change, http.StatusNoContent), httpapi.Shape{}, tus(s.handleDrop))
	override := header("X-HTTP-Method-Override", "PATCH or DELETE")
	httpapi.HandleTransfer(a, op("overrideUpload", http.MethodPost, "/{upload}", "PATCH or DELETE, for clients that can't", change, http.StatusNoContent, override, offset, sum),
		httpapi.Shape{Takes: tusMedia}, tus(s.handleOverride))
	options := func(id, path string) {
		httpapi.HandleTransfer(a, operation(id, http.MethodOptions, "/uploads"+path, "What of the tus protocol there is", access.Public(), http.StatusNoContent), httpapi.Shape{}, handleOptions)
	}
	options("uploadOptions", "")
	options("uploadPartOptions", "/{upload}")
}

func handleOptions(context.Context, *httpapi.Transfer) (httpapi.Answer, error) {
	return httpapi.Answer{Header: map[string]string{
		"Tus-Resumable": tusVersion, "Tus-Version": tusVersion, "Tus-Extension": tusExtensions, "Tus-Checksum-Algorithm": tusChecksums,
		"Tus-Max-Size": strconv.FormatInt(UploadMost, 10), "Allow": "OPTIONS, POST, GET, HEAD, PATCH, DELETE",
	}}, nil
}

type verb func(ctx context.Context, t *httpapi.Transfer) (httpapi.Answer, error)

// errVersion is a client that speaks another version.
var errVersion = errors.New("another version of tus")

// tus looks at the protocol's version, and has every answer name it.
func tus(h verb) verb {
	return func(ctx context.Context, t *httpapi.Transfer) (out httpapi.Answer, err error) {
		if t.Header("Tus-Resumable") != tusVersion {
			err = httpapi.As(http.StatusPreconditionFailed, problem.New(problem.BadRequest, "the header Tus-Resumable must be %s", tusVersion).Because(errVersion))
			return httpapi.Answer{Header: map[string]string{"Tus-Version": tusVersion, "Tus-Resumable": tusVersion}}, err
		}
		out, err = h(ctx, t)
		if out.Header == nil {
			out.Header = map[string]string{}
		}
		out.Header["Tus-Resumable"] = tusVersion
		return out, err
	}
}

func (s *Service) handleUploads(ctx context.Context, in *instance.InstancePath) ([]FileUploadView, error) {
	list, err := s.Uploads(ctx, access.From(ctx), ident.Instance(in.ID))
	out := make([]FileUploadView, 0, len(list))
	for _, u := range list {
		out = append(out, uploadView(u))
	}
	return out, err
}

func (s *Service) handleBegin(ctx context.Context, t *httpapi.Transfer) (out httpapi.Answer, err error) {
	if t.Header("Upload-Defer-Length") != "" {
		return out, problem.New(problem.BadRequest, "the length must be known at the beginning: send Upload-Length")
	}
	size, err := count("Upload-Length", t.Header("Upload-Length"))
	if err != nil {
		return out, err
	}
	meta, err := metadata(t.Header("Upload-Metadata"))
	if err != nil {
		return out, err
	}
	w, err := destination(meta, size)
	if err != nil {
		return out, err
	}
	first := strings.EqualFold(t.Header("Content-Type"), tusMedia) && t.Size != 0
	if !first && t.Size != 0 {
		return out, problem.New(problem.UnsupportedMediaType, "a first part comes as %s", tusMedia)
	}
	begun, cancel := context.WithTimeout(ctx, shortly)
	defer cancel()
	u, err := s.Begin(begun, access.From(ctx), instanceOf(t), w)
	if err != nil {
		return out, err
	}
	out = told(u)
	out.Header["Location"] = location(u)
	if !first || u.State == Finished {
		return out, nil
	}
	added, err := s.part(ctx, t, u.ID, 0)
	if err != nil { // the upload is there: the client asks how far it is
		return httpapi.Answer{Header: out.Header}, err
	}
	out.Header["Upload-Offset"], out.Header["Upload-Expires"] = added.Header["Upload-Offset"], added.Header["Upload-Expires"]
	return out, nil
}

// told is what every answer about an upload says.
func told(u Upload) httpapi.Answer {
	out := httpapi.Answer{Header: map[string]string{"Upload-Offset": strconv.FormatInt(u.Offset, 10)}}
	if u.State != Finished {
		out.Header["Upload-Expires"] = u.Expires().UTC().Format(http.TimeFormat)
	}
	return out
}

func (s *Service) handleStatus(ctx context.Context, t *httpapi.Transfer) (httpapi.Answer, error) {
	asked, cancel := context.WithTimeout(ctx, shortly)
	defer cancel()
	u, err := s.Status(asked, access.From(ctx), instanceOf(t), t.Param("upload"))
	if err != nil {
		return httpapi.Answer{}, err
	}
	out := told(u)
	out.Header["Upload-Length"], out.Header["Upload-Metadata"] = strconv.FormatInt(u.Size, 10), described(u)
	return out, nil
}

func (s *Service) handleAppend(ctx context.Context, t *httpapi.Transfer) (out httpapi.Answer, err error) {
	if !strings.EqualFold(t.Header("Content-Type"), tusMedia) {
		return out, problem.New(problem.UnsupportedMediaType, "a part comes as %s", tusMedia)
	}
	offset, err := count("Upload-Offset", t.Header("Upload-Offset"))
	if err != nil {
		return out, err
	}
	return s.part(ctx, t, t.Param("upload"), offset)
}

// part adds the body to an upload.
func (s *Service) part(ctx context.Context, t *httpapi.Transfer, upload string, offset int64) (out httpapi.Answer, err error) {
	sum, err := checksum(t.Header("Upload-Checksum"))
	if err != nil {
		return out, err
	}
	u, err := s.Append(ctx, access.From(ctx), instanceOf(t), upload, Part{Offset: offset, Body: t.Body, Size: t.Size, Checksum: sum})
	if isAbout(err, problem.Validation, "checksum") {
		return out, httpapi.As(statusChecksum, err)
	}
	if err != nil {
		return out, err
	}
	return told(u), nil
}

const statusChecksum = 460 // tus: Checksum Mismatch

func (s *Service) handleDrop(ctx context.Context, t *httpapi.Transfer) (httpapi.Answer, error) {
	asked, cancel := context.WithTimeout(ctx, shortly)
	defer cancel()
	return httpapi.Answer{}, s.Drop(asked, access.From(ctx), instanceOf(t), t.Param("upload"))
}

func (s *Service) handleOverride(ctx context.Context, t *httpapi.Transfer) (httpapi.Answer, error) {
	switch method := t.Header("X-HTTP-Method-Override"); method {
	case http.MethodPatch:
		return s.handleAppend(ctx, t)
	case http.MethodDelete:
		return s.handleDrop(ctx, t)
	default:
		return httpapi.Answer{}, problem.New(problem.MethodNotAllowed, "an upload takes PATCH, HEAD and DELETE")
	}
}
