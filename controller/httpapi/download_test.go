package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/problem"
)

// file is a body that says when it was closed.
type file struct {
	io.Reader
	closed chan struct{}
}

// Close closes it, once.
func (f file) Close() error {
	close(f.closed)
	return nil
}

func TestDownload(t *testing.T) {
	t.Parallel()
	whole := strings.Repeat("0123456789", 100_000)
	closed := make(chan struct{}, 3)
	bodies := map[string]func() (httpapi.Download, error){
		"whole": func() (httpapi.Download, error) {
			return httpapi.Download{Type: "application/octet-stream", Size: int64(len(whole)), Body: file{strings.NewReader(whole), closed}}, nil
		},
		"torn": func() (httpapi.Download, error) {
			torn := io.MultiReader(strings.NewReader(whole[:500_000]), iotest.ErrReader(errors.New("a broken disk")))
			return httpapi.Download{Type: "application/octet-stream", Size: int64(len(whole)), Body: file{torn, closed}}, nil
		},
		"none": func() (httpapi.Download, error) {
			return httpapi.Download{}, problem.New(problem.NotFound, "there is no such program")
		},
	}
	b := setup(t, func(a *httpapi.API) {
		for name, open := range bodies {
			httpapi.HandleDownload(a, httpapi.Operation{ID: name, Method: "GET", Path: "/install/" + name, Access: access.Public(), Style: httpapi.Document, Tag: "files"},
				"application/octet-stream", func(context.Context) (httpapi.Download, error) { return open() })
		}
	})
	get := func(method, name string) (*http.Response, []byte, error) {
		t.Helper()
		closed = make(chan struct{})
		req, err := http.NewRequestWithContext(t.Context(), method, b.url+"/install/"+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		text, err := io.ReadAll(res.Body)
		return res, text, err
	}
	res, text, err := get("GET", "whole")
	<-closed
	if err != nil || res.StatusCode != http.StatusOK || string(text) != whole || res.ContentLength != int64(len(whole)) || res.Header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%d, %d bytes, %v, %v", res.StatusCode, len(text), res.Header, err)
	}
	res, text, err = get("HEAD", "whole")
	<-closed
	if err != nil || res.StatusCode != http.StatusOK || len(text) != 0 || res.ContentLength != int64(len(whole)) {
		t.Errorf("HEAD: %d, %d bytes of %d, %v", res.StatusCode, len(text), res.ContentLength, err)
	}
	_, text, err = get("GET", "torn")
	<-closed
	if err == nil || len(text) >= len(whole) {
		t.Errorf("a part was taken for the whole: %d bytes, %v", len(text), err)
	}
	if res, text, _ = get("GET", "none"); res.StatusCode != http.StatusNotFound || !strings.Contains(string(text), "no such program") {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	doc, err := b.api.OpenAPI()
	if err != nil || !bytes.Contains(doc, []byte(`"/install/whole"`)) || !bytes.Contains(doc, []byte(`"format": "binary"`)) {
		t.Errorf("the document lacks it (%v)", err)
	}
}
