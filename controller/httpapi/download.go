package httpapi

import (
	"context"
	"io"

	"github.com/danielgtaylor/huma/v2"
)

// Download is a file that is sent as it is, while it is read.
type Download struct {
	Type string        // media type
	Size int64         // bytes that Body gives
	Body io.ReadCloser // read and closed here
}

// HandleDownload registers a route that answers with a file: what is fetched by
// machines and isn't JSON. kind is its media type. An error is told in the
// route's Style; one that comes while the file is read breaks the connection
// off, so that nobody takes a part for the whole.
func HandleDownload(a *API, op Operation, kind string, h func(ctx context.Context) (Download, error)) {
	r := a.add(op)
	if r == nil {
		return
	}
	r.run = func(k *call) error {
		file, err := h(k.ctx)
		if err != nil {
			return err
		}
		k.http.SetStatusCode(k.route.Status)
		k.http.SetContentType(file.Type)
		k.http.Response.SetBodyStream(&download{ReadCloser: file.Body, size: file.Size, done: func() {}}, int(file.Size)) // closes it
		return nil
	}
	a.register(r.Operation, func() {
		out := a.responses(r, nil)
		for status, response := range out {
			if status != "default" {
				response.Content = map[string]*huma.MediaType{kind: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
			}
		}
		a.huma.OpenAPI().AddOperation(a.describe(r, out))
	})
}
