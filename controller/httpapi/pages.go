package httpapi

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/gofiber/fiber/v2"

	"github.com/berth-panel/berth/controller/access"
)

//go:embed docs
var docsFS embed.FS

// pagePolicy lets pages use what comes from here, and nothing else: no inline
// script, no other host, no frame around them.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// pages are the files of the panel by their path. Paths come from this table
// only: none is made of a request's text.
type pages struct{ files map[string]page }

type page struct {
	body    []byte
	kind    string
	tag     string // ETag
	forever bool   // its name changes with its content

	packed func() []byte // the body in gzip, made when it is first asked for; nil: no smaller
}

func newPage(name string, body []byte) page {
	sum := sha256.Sum256(body)
	return page{
		body: body, kind: mediaType(name), tag: base64.RawURLEncoding.EncodeToString(sum[:12]),
		forever: strings.HasPrefix(name, "assets/"), packed: sync.OnceValue(func() []byte { return pack(body) }),
	}
}

// pack gives a file in gzip, or nil when that saves nothing: the panel is a fourth
// of its size then. Not at the start, for a controller shall be there at once.
func pack(body []byte) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil
	}
	if _, err := w.Write(body); err != nil {
		return nil
	}
	if err := w.Close(); err != nil || out.Len() >= len(body) {
		return nil
	}
	return out.Bytes()
}

// addPages reads the panel's files and registers /openapi.json and /docs.
func (a *API) addPages() error {
	a.pages.files = map[string]page{}
	if a.cfg.Static != nil {
		if err := a.pages.load(a.cfg.Static); err != nil {
			return err
		}
	}
	for at, name := range map[string]string{"/docs": "index.html", "/docs/docs.js": "docs.js", "/docs/docs.css": "docs.css"} {
		body, err := docsFS.ReadFile("docs/" + name)
		if err != nil {
			return fmt.Errorf("read the documentation's page: %w", err)
		}
		p := newPage(name, body)
		a.addHidden(at, func(k *call) error {
			k.page(p)
			return nil
		})
	}
	document := sync.OnceValues(func() (page, error) {
		body, err := a.OpenAPI()
		return newPage("openapi.json", body), err
	})
	a.addHidden("/openapi.json", func(k *call) error {
		p, err := document()
		if err != nil {
			return err
		}
		k.page(p)
		return nil
	})
	return a.err
}

func (a *API) addHidden(at string, run func(k *call) error) {
	id := strings.ReplaceAll(strings.Trim(at, "/"), "/", "-")
	if r := a.add(Operation{ID: id, Method: fiber.MethodGet, Path: at, Access: access.Public(), Style: Document}); r != nil {
		r.hidden, r.run = true, run
	}
}

func (p *pages) load(static fs.FS) error {
	err := fs.WalkDir(static, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		body, err := fs.ReadFile(static, name)
		if err != nil {
			return err
		}
		p.files["/"+name] = newPage(name, body)
		if index, ok := strings.CutSuffix("/"+name, "index.html"); ok {
			p.files[index] = newPage(name, body)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the panel's pages: %w", err)
	}
	return nil
}

// find gives the file of a path. The panel has addresses of its own, which no
// file has: those get its one page, which knows what to show, so that they can be
// reloaded and sent to others. What looks like a file (it has an extension, or is
// among the assets) or like a call of the API that was written wrongly is none of
// them. Other methods than reading have nothing to do with addresses.
func (p *pages) find(k *call) (page, bool) {
	file, ok := p.files[k.path]
	if ok || k.method != fiber.MethodGet && k.method != fiber.MethodHead {
		return file, ok
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(k.path, "/"), "/")
	if path.Ext(k.path) != "" || strings.Contains(k.path, "..") || first == "assets" || strings.EqualFold(first, "api") {
		return page{}, false
	}
	file, ok = p.files["/"]
	return file, ok
}

// serve answers for a path that no route has and that isn't the API's.
func (p *pages) serve(k *call) {
	file, ok := p.find(k)
	switch {
	case !ok:
		k.http.Response.Header.Set("Content-Security-Policy", pagePolicy)
		k.http.SetStatusCode(fiber.StatusNotFound)
		k.http.SetContentType("text/html; charset=utf-8")
		k.http.SetBodyString(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Not found</title><h1>Not found</h1><p>There is nothing here. <a href="/">Berth</a></p></html>`)
	case k.method == fiber.MethodOptions:
		k.http.Response.Header.Set("Allow", "GET, HEAD, OPTIONS")
		k.http.SetStatusCode(fiber.StatusNoContent)
	case k.method != fiber.MethodGet && k.method != fiber.MethodHead:
		k.http.Response.Header.Set("Allow", "GET, HEAD, OPTIONS")
		k.http.SetStatusCode(fiber.StatusMethodNotAllowed)
		k.http.SetContentType("text/plain; charset=utf-8")
		k.http.SetBodyString("This page can only be read.\n")
	default:
		k.page(file)
	}
}

// page sends a file, or says that the one the browser has is still right.
func (k *call) page(p page) {
	h := &k.http.Response.Header
	body, tag := p.body, p.tag
	if k.http.Request.Header.HasAcceptEncoding("gzip") {
		if packed := p.packed(); packed != nil {
			body, tag = packed, tag+"-gzip"
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("ETag", `"`+tag+`"`)
	h.Set("Cache-Control", "no-cache")
	if p.forever {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if strings.Contains(string(k.http.Request.Header.Peek("If-None-Match")), `"`+tag+`"`) {
		h.Del("Content-Encoding")
		k.http.SetStatusCode(fiber.StatusNotModified)
		return
	}
	k.http.SetStatusCode(fiber.StatusOK)
	k.http.SetContentType(p.kind)
	k.http.Response.SetBodyRaw(body)
}
