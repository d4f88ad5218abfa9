package runtimetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/ident"
)

// Registry is an image registry in memory. It listens on the loopback, which
// engines take without TLS.
type Registry struct {
	Address string // "127.0.0.1:PORT", with which the names of its images begin
	mu      sync.Mutex
	blobs   map[string][]byte // by digest
	tags    map[string][]byte // manifests by "repository:tag"
	refuse  func(w http.ResponseWriter, r *http.Request) bool
	arch    string // of the images that are offered; "" is this machine's
}

// NewRegistry runs one until the test ends.
func NewRegistry(t testing.TB) *Registry {
	t.Helper()
	r := &Registry{blobs: map[string][]byte{}, tags: map[string][]byte{}}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.Address = strings.TrimPrefix(server.URL, "http://")
	return r
}

const (
	manifestType = "application/vnd.docker.distribution.manifest.v2+json"
	listType     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

func (g *Registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	refuse := g.refuse
	g.mu.Unlock()
	if refuse != nil && refuse(w, r) {
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/v2/")
	if !ok || path == "" {
		return
	}
	if repository, tag, ok := strings.Cut(path, "/manifests/"); ok {
		manifest := g.find(g.tags, repository+":"+tag)
		if manifest == nil {
			manifest = g.find(g.blobs, tag)
		}
		if manifest == nil {
			AnswerError(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
			return
		}
		var kind struct{ MediaType string }
		_ = json.Unmarshal(manifest, &kind)
		w.Header().Set("Content-Type", kind.MediaType)
		w.Header().Set("Docker-Content-Digest", digestOf(manifest))
		_, _ = w.Write(manifest)
		return
	}
	if _, digest, ok := strings.Cut(path, "/blobs/"); ok {
		if text := g.find(g.blobs, digest); text != nil {
			w.Header().Set("Content-Length", strconv.Itoa(len(text)))
			trickle(w, text)
			return
		}
	}
	AnswerError(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry")
}

// RefuseBy lets every request go to f first; it says whether it has answered.
func (g *Registry) RefuseBy(f func(w http.ResponseWriter, r *http.Request) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refuse = f
}

func (g *Registry) find(in map[string][]byte, key string) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	return in[key]
}

// trickle sends slowly enough for an engine to tell how far it is.
func trickle(w http.ResponseWriter, text []byte) {
	const parts = 10
	for i := range parts {
		_, _ = w.Write(text[len(text)*i/parts : len(text)*(i+1)/parts])
		_ = http.NewResponseController(w).Flush()
		if len(text) > 1<<16 {
			time.Sleep(40 * time.Millisecond)
		}
	}
}

// AnswerError refuses a request as registries do.
func AnswerError(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, message)
}

func digestOf(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (g *Registry) blob(text []byte) map[string]any {
	digest := digestOf(text)
	g.blobs[digest] = text
	return map[string]any{"digest": digest, "size": len(text)}
}

// tag gives a manifest the tag 1; engines ask for it by its digest, too.
func (g *Registry) tag(repository string, manifest []byte) {
	g.tags[repository+":1"] = manifest
	g.blob(manifest)
}

// Offer makes an image of two layers that no engine can run, and gives its
// reference. The engine's copy is removed at the end.
func (g *Registry) Offer(t testing.TB, host, repository string) string {
	t.Helper()
	layers := [][]byte{layerTar(t, "file-0", 3<<20), layerTar(t, "file-1", 3<<20)}
	return g.offer(t, host, repository, map[string]any{"Cmd": []string{"/file-0"}}, layers)
}

// OfferProbe makes an image that is the probe, and like no other.
func (g *Registry) OfferProbe(t testing.TB, host, repository string) string {
	t.Helper()
	files, err := io.ReadAll(Rootfs(t))
	if err != nil {
		t.Fatal(err)
	}
	return g.offer(t, host, repository, map[string]any{"Entrypoint": []string{"/probe"}, "WorkingDir": "/tmp"}, [][]byte{files, layerTar(t, "noise", 1<<10)})
}

func (g *Registry) offer(t testing.TB, host, repository string, run map[string]any, files [][]byte) string {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	var diffs []string
	var layers []map[string]any
	for _, plain := range files {
		var packed bytes.Buffer
		z, err := gzip.NewWriterLevel(&packed, gzip.NoCompression) // it is mostly noise
		if err != nil {
			t.Fatal(err)
		}
		_, _ = z.Write(plain)
		_ = z.Close()
		layer := g.blob(packed.Bytes())
		layer["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip"
		layers, diffs = append(layers, layer), append(diffs, digestOf(plain))
	}
	arch := g.arch
	if arch == "" {
		arch = runtime.GOARCH
	}
	config := g.blob(asJSON(t, map[string]any{
		"architecture": arch, "os": "linux", "config": run, "rootfs": map[string]any{"type": "layers", "diff_ids": diffs},
	}))
	config["mediaType"] = "application/vnd.docker.container.image.v1+json"
	g.tag(repository, asJSON(t, map[string]any{"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": layers}))
	reference := g.Address + "/" + repository + ":1"
	DropImage(t, host, reference)
	return reference
}

// DropImage removes an image from the engine at the end that carries no label of
// ours.
func DropImage(t testing.TB, host, reference string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := call(ctx, host, http.MethodDelete, "/images/"+reference, url.Values{"force": {"1"}}, nil)
		var refused *statusError
		if err != nil && !(errors.As(err, &refused) && refused.status == http.StatusNotFound) {
			t.Errorf("removing %s: %v", reference, err)
		}
	})
}

// OfferForeign makes an image for another kind of machine only.
func (g *Registry) OfferForeign(t testing.TB, repository string) string {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tagList(t, repository, map[string][]byte{"s390x": []byte(`{}`)})
	return g.Address + "/" + repository + ":1"
}

// OfferMany makes an image as Offer does, and next to it, under the same name, one
// for another kind of machine that can't be pulled.
func (g *Registry) OfferMany(t testing.TB, host, repository string) string {
	t.Helper()
	reference := g.Offer(t, host, repository)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tagList(t, repository, map[string][]byte{"s390x": []byte(`{}`), runtime.GOARCH: g.tags[repository+":1"]})
	return reference
}

// tagList gives a list of manifests by their machines the tag 1.
func (g *Registry) tagList(t testing.TB, repository string, manifests map[string][]byte) {
	t.Helper()
	var entries []any
	for arch, manifest := range manifests {
		entry := g.blob(manifest)
		entry["mediaType"], entry["platform"] = manifestType, map[string]any{"architecture": arch, "os": "linux"}
		entries = append(entries, entry)
	}
	g.tag(repository, asJSON(t, map[string]any{"schemaVersion": 2, "mediaType": listType, "manifests": entries}))
}

func asJSON(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// layerTar is a tar of one file that no compression makes smaller.
func layerTar(t testing.TB, name string, size int) []byte {
	t.Helper()
	text := make([]byte, size)
	noise := rand.NewChaCha8([32]byte([]byte(ident.New())[:32]))
	_, _ = noise.Read(text)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(size)}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
