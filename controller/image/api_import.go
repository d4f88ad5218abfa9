package image

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	// importMost is how large one call may be, in bytes; a file is at most fileMost.
	importMost = 64 << 20
	fileMost   = 4 << 20
	// importTime is how long a call may take: an address is fetched in it.
	importTime = 3 * time.Minute
)

func (s *Service) mountImport(a *httpapi.API) {
	const base, tag = "/api/v1/images", "images"
	read, write := access.Needs(access.ScopeRead), access.Permits(access.WriteImages)
	httpapi.HandleRaw(a, httpapi.Operation{ID: "importImage", Method: http.MethodPost, Path: base + "/import", Tag: tag, Access: write,
		Status: http.StatusCreated, BodyLimit: importMost, Timeout: importTime, Accepts: ImportBody{}, Answers: importAnswer{},
		Summary: "Import images from files: eggs, classic images, Compose files",
		Description: "The body is one file, JSON or YAML, of any format that is known; or an object with `files`, or with `url`. An image that was imported before " +
			"is updated in place: it is found by its file's uuid, else by author and name. Each file is taken as a whole or not at all. A file that is sent as the " +
			"body itself and can't be taken is answered with an error; otherwise the report tells what became of each.",
		Params: []httpapi.Param{
			{Name: "format", Doc: "egg, classic or compose; absent: found out"},
			{Name: "name", Doc: "The file's name, where the body is one file"},
		}}, s.handleImport)
	httpapi.Handle(a, httpapi.Operation{ID: "updateImage", Method: http.MethodPost, Path: base + "/{id}/update", Tag: tag, Access: write, Timeout: importTime,
		Summary: "Import an image anew from the address that its file names",
		Description: "Its `source.update_url`, which must be on the public internet. What is there must be the same image: by uuid, else by author and name. " +
			"The answer tells what became of it, as for an import."}, s.handleUpdate)
	httpapi.HandleTransfer(a, httpapi.Operation{ID: "exportImage", Method: http.MethodGet, Path: base + "/{id}/export", Tag: tag, Access: write,
		Summary: "Get an image as a file", Params: []httpapi.Param{
			{Name: "format", Doc: "PLCN_v3 (when absent) or classic"},
			{Name: "as", Doc: "json (when absent) or yaml, of PLCN_v3"},
		}}, httpapi.Shape{Gives: "application/octet-stream"}, s.handleExport)
	httpapi.HandleTransfer(a, httpapi.Operation{ID: "getImageIcon", Method: http.MethodGet, Path: base + "/{id}/icon", Tag: tag, Access: read,
		Summary: "Get an image's picture", Description: "404 when it has none."}, httpapi.Shape{Gives: "image/*", Statuses: []int{http.StatusNotModified}}, s.handleIcon)
	httpapi.HandleTransfer(a, httpapi.Operation{ID: "putImageIcon", Method: http.MethodPut, Path: base + "/{id}/icon", Tag: tag, Access: write,
		BodyLimit: iconMost, Status: http.StatusNoContent, Summary: "Set an image's picture",
		Description: "PNG, JPEG, WebP, GIF or SVG, at most 512 KiB."}, httpapi.Shape{Takes: "image/*"}, s.handlePutIcon)
	httpapi.Handle(a, httpapi.Operation{ID: "deleteImageIcon", Method: http.MethodDelete, Path: base + "/{id}/icon", Tag: tag, Access: write,
		Summary: "Take an image's picture away"}, s.handleDeleteIcon)
}

// handleImport answers a refused file with an error where the body is the file,
// and with the report where there may be several.
func (s *Service) handleImport(ctx context.Context, r *httpapi.Request) (httpapi.Reply, error) {
	if len(bytes.TrimSpace(r.Body)) == 0 {
		return httpapi.Reply{}, problem.New(problem.BadRequest, "a file is needed here, as the body or in files, and there is none")
	}
	order := ImportOrder{Format: r.Query("format")}
	body, many := asBody(r.Body)
	switch {
	case !many && len(r.Body) > fileMost:
		return httpapi.Reply{}, problem.New(problem.TooLarge, "the file is too large; %d bytes are the most", fileMost)
	case !many:
		name := r.Query("name")
		if name == "" {
			name = "body"
		}
		order.Files = []ImportFile{{Name: name, Text: string(r.Body)}}
	default:
		order.Files, order.URL = body.Files, body.URL
		for _, id := range body.ApartFrom {
			order.ApartFrom = append(order.ApartFrom, ident.Image(id))
		}
	}
	report, err := s.Import(ctx, access.From(ctx), order)
	if err != nil {
		return httpapi.Reply{}, err
	}
	if only := report.Files; !many && len(only) == 1 && only[0].problem != nil {
		return httpapi.Reply{}, only[0].problem
	}
	return httpapi.Reply{Body: importAnswer{Success: true, Data: report}}, nil
}

func (s *Service) handleUpdate(ctx context.Context, in *ImagePath) (ImportedFile, error) {
	return s.Update(ctx, access.From(ctx), ident.Image(in.ID))
}

func (s *Service) handleExport(ctx context.Context, t *httpapi.Transfer) (httpapi.Answer, error) {
	file, err := s.Export(ctx, ident.Image(t.Param("id")), t.Query("format"), t.Query("as"))
	if err != nil {
		return httpapi.Answer{}, err
	}
	return httpapi.Answer{Type: file.Type, Size: int64(len(file.Text)), Body: io.NopCloser(bytes.NewReader(file.Text)), Header: map[string]string{
		"Content-Disposition":     `attachment; filename="` + file.Name + `"`,
		"Content-Security-Policy": "default-src 'none'; sandbox",
	}}, nil
}

// handleIcon gives a picture so that a hostile one can do nothing: opened by
// itself it is a page without scripts, without an origin and without a network.
func (s *Service) handleIcon(ctx context.Context, t *httpapi.Transfer) (httpapi.Answer, error) {
	icon, err := s.Icon(ctx, ident.Image(t.Param("id")))
	if err != nil {
		return httpapi.Answer{}, err
	}
	tag := icon.tag()
	header := map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
		"X-Content-Type-Options":  "nosniff",
		"Content-Disposition":     "inline; filename=icon",
		"Cache-Control":           "private, no-cache",
		"ETag":                    tag,
	}
	if t.Header("If-None-Match") == tag {
		return httpapi.Answer{Status: http.StatusNotModified, Header: header}, nil
	}
	return httpapi.Answer{Type: icon.Type, Size: int64(len(icon.Data)), Body: io.NopCloser(bytes.NewReader(icon.Data)), Header: header}, nil
}

func (s *Service) handlePutIcon(ctx context.Context, t *httpapi.Transfer) (httpapi.Answer, error) {
	data, err := io.ReadAll(t.Body)
	if err != nil {
		return httpapi.Answer{}, err
	}
	icon, err := NewIcon(t.Header("Content-Type"), data)
	if err != nil {
		return httpapi.Answer{}, err
	}
	return httpapi.Answer{}, s.SetIcon(ctx, access.From(ctx), ident.Image(t.Param("id")), icon)
}

func (s *Service) handleDeleteIcon(ctx context.Context, in *ImagePath) (httpapi.Done, error) {
	return httpapi.Did("the picture is taken away"), s.SetIcon(ctx, access.From(ctx), ident.Image(in.ID), nil)
}

// tag names what the icon is made of.
func (i Icon) tag() string { return `"` + strconv.FormatUint(sum(i.Type, i.Data), 36) + `"` }
