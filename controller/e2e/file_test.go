package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// filed is the files of an instance that doesn't run.
type filed struct {
	*host
	id   string
	base string // of its files, beneath the panel's URL
}

func (h *host) filed(owner string) *filed {
	t := h.panel.t
	t.Helper()
	body := h.body(h.loadProbe("idle"), owner, 0)
	body["start"] = false
	id, job := h.begin(body)
	h.panel.awaitJob(job, "succeeded")
	return &filed{host: h, id: id, base: "/api/v1/instances/" + id + "/files"}
}

// call makes a call beneath the files as the admin; h are headers in pairs.
func (f *filed) call(url, method, path string, body io.Reader, h ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(f.panel.t.Context(), method, url+path, body)
	if err != nil {
		f.panel.t.Fatal(err)
	}
	req.Header.Set("x-api-key", adminKey)
	for n := 0; n+1 < len(h); n += 2 {
		req.Header.Set(h[n], h[n+1])
	}
	return http.DefaultClient.Do(req)
}

// is makes a call that must answer with a status, and gives the body.
func (f *filed) is(status int, method, path string, body []byte, h ...string) ([]byte, http.Header) {
	t := f.panel.t
	t.Helper()
	res, err := f.call(f.panel.url, method, f.base+path, bytes.NewReader(body), h...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != status {
		t.Fatalf("%s %s: %d, want %d: %.300s %v", method, path, res.StatusCode, status, text, err)
	}
	return text, res.Header
}

// do orders long work and waits for its end.
func (f *filed) do(verb string, body map[string]any) {
	f.panel.t.Helper()
	var made data[jobView]
	f.panel.must(http.StatusAccepted, "POST", f.base+"/"+verb, body, &made)
	f.panel.awaitJob(made.Data.ID, "succeeded")
}

func (f *filed) paths(folder string) (out []string) {
	f.panel.t.Helper()
	var list data[[]struct{ Path string }]
	f.panel.must(http.StatusOK, "GET", f.base+"?limit=500&path="+url.QueryEscape(folder), nil, &list)
	for _, e := range list.Data {
		out = append(out, e.Path)
	}
	return out
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(b)
	return b
}

// scissors stands between a client and the panel, and cuts the connection that
// carries the n-th byte, for each n that it was given.
type scissors struct {
	url  string
	mu   sync.Mutex
	cuts []int64 // the next first
	sent int64
	done int
}

func newScissors(t testing.TB, target string, cuts ...int64) *scissors {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scissors{url: "http://" + ln.Addr().String(), cuts: cuts}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.carry(ctx, conn, strings.TrimPrefix(target, "http://")) })
		}
	})
	t.Cleanup(func() { cancel(); _ = ln.Close(); all.Wait() })
	return s
}

func (s *scissors) carry(ctx context.Context, client net.Conn, target string) {
	defer func() { _ = client.Close() }()
	panel, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = panel.Close() }()
	defer context.AfterFunc(ctx, func() { _ = client.Close(); _ = panel.Close() })()
	var both sync.WaitGroup
	both.Go(func() { s.pass(panel, client); _ = panel.Close() })
	both.Go(func() { s.pass(client, panel); _ = client.Close() })
	both.Wait()
}

// pass copies until it is cut.
func (s *scissors) pass(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if s.cut(int64(n)) {
				_ = from.Close()
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (s *scissors) cut(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent += n
	if len(s.cuts) == 0 || s.sent < s.cuts[0] {
		return false
	}
	s.cuts, s.done = s.cuts[1:], s.done+1
	return true
}

func (s *scissors) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// upload sends a file by the tus protocol, as its clients do: after each failure
// it asks how far it is and goes on there. between is called before each try.
func (f *filed) upload(through, path string, content []byte, between func(try int)) (tries int) {
	t := f.panel.t
	t.Helper()
	_, header := f.is(http.StatusCreated, "POST", "/uploads", nil, "Tus-Resumable", "1.0.0", "Upload-Length", strconv.Itoa(len(content)),
		"Upload-Metadata", "path "+base64.StdEncoding.EncodeToString([]byte(path)))
	at := header.Get("Location")
	deadline := time.Now().Add(2 * patience)
	for time.Now().Before(deadline) {
		between(tries)
		tries++
		res, err := f.call(through, "HEAD", at, nil, "Tus-Resumable", "1.0.0")
		if err != nil {
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode == http.StatusServiceUnavailable || res.StatusCode == http.StatusLocked {
			continue // the node is away, or what was sent before came late
		}
		offset, err := strconv.Atoi(res.Header.Get("Upload-Offset"))
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s %v: %v", res.Status, res.Header, err)
		}
		if offset == len(content) {
			return tries
		}
		res, err = f.call(through, "PATCH", at, bytes.NewReader(content[offset:]), "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", strconv.Itoa(offset))
		if err == nil {
			_ = res.Body.Close()
		}
	}
	t.Fatal("the upload doesn't end")
	return tries
}

// One life of an instance's files, with the real agent.
func TestFiles(t *testing.T) {
	t.Parallel()
	_, h, owner := setup(t)
	f := h.filed(owner)

	f.is(201, "POST", "/folder", []byte(`{"path":"config/deep"}`), "Content-Type", "application/json")
	_, header := f.is(200, "PUT", "/content?path=config/a.txt", []byte("hello"), "If-None-Match", "*")
	tag := header.Get("Etag")
	f.is(412, "PUT", "/content?path=config/a.txt", []byte("other"), "If-None-Match", "*")
	f.is(200, "PUT", "/content?path=config/a.txt", []byte("hello you"), "If-Match", tag)
	if text, _ := f.is(412, "PUT", "/content?path=config/a.txt", []byte("hello me"), "If-Match", tag); !strings.Contains(string(text), `"CONFLICT"`) {
		t.Errorf("%s", text)
	}
	odd := url.QueryEscape("config/b%ff%25.bin")
	f.is(200, "PUT", "/content?path="+odd, noise(1<<20))
	if got := f.paths("config"); !slices.Equal(got, []string{"config/deep", "config/a.txt", "config/b%ff%25.bin"}) {
		t.Errorf("%q", got)
	}
	if on, err := os.ReadFile(filepath.Join(h.volume(f.id), "config/b\xff%.bin")); err != nil || !bytes.Equal(on, noise(1<<20)) {
		t.Errorf("on the disk: %v", err)
	}
	part, _ := f.is(206, "GET", "/content?path="+odd, nil, "Range", "bytes=1000-1999")
	if !bytes.Equal(part, noise(1 << 20)[1000:2000]) {
		t.Error("another part came")
	}
	_, header = f.is(200, "GET", "/content?path="+odd, nil)
	f.is(304, "GET", "/content?path="+odd, nil, "If-None-Match", header.Get("Etag"))
	f.is(416, "GET", "/content?path="+odd, nil, "Range", "bytes=2000000-")

	packed, _ := f.is(200, "GET", "/bundle?path=config&format=zip", nil)
	z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil || len(z.File) < 3 {
		t.Fatalf("%v: %v", z, err)
	}
	f.do("archive", map[string]any{"folder": "config", "format": "tar.zst", "to": "config.tar.zst"})
	f.do("delete", map[string]any{"paths": []string{"config"}})
	f.do("extract", map[string]any{"path": "config.tar.zst", "to": "back"})
	f.do("copy", map[string]any{"paths": []string{"back"}, "to": "."})
	if got := f.paths("back (2)"); !slices.Equal(got, []string{"back (2)/deep", "back (2)/a.txt", "back (2)/b%ff%25.bin"}) {
		t.Errorf("%q", got)
	}
	text, _ := f.is(200, "POST", "/search", []byte(`{"content":"hello you"}`), "Content-Type", "application/json")
	if strings.Count(string(text), `"line":1`) != 2 {
		t.Errorf("%s", text)
	}
	f.is(200, "POST", "/chmod", []byte(`{"paths":["back/a.txt"],"mode":"600"}`), "Content-Type", "application/json")
	f.is(200, "POST", "/rename", []byte(`{"renames":[{"from":"back/a.txt","to":"z.txt"}]}`), "Content-Type", "application/json")
	if info, err := os.Stat(filepath.Join(h.volume(f.id), "z.txt")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	var ticket data[struct{ URL string }]
	h.panel.must(http.StatusCreated, "POST", f.base+"/ticket", map[string]any{"path": "z.txt"}, &ticket)
	if status, body := h.panel.raw("", "GET", ticket.Data.URL, nil); status != 200 || string(body) != "hello you" {
		t.Errorf("%d %s", status, body)
	}
	f.told(owner)
}

// told looks at what the log says that happened to the files.
func (f *filed) told(string) {
	t := f.panel.t
	t.Helper()
	var list data[[]struct{ Type string }]
	f.panel.must(http.StatusOK, "GET", "/api/v1/events?limit=500&instance_id="+f.id, nil, &list)
	seen := map[string]int{}
	for _, e := range list.Data {
		seen[e.Type]++
	}
	for kind, want := range map[string]int{"file.folder_made": 1, "file.written": 3, "file.archived": 1, "file.deleted": 1, "file.extracted": 1, "file.copied": 1, "file.mode_set": 1, "file.renamed": 1} {
		if seen[kind] != want {
			t.Errorf("%s: %d times, want %d", kind, seen[kind], want)
		}
	}
}

const transferSize = 64 << 20

// A file goes up through a connection that is cut five times, and comes down
// through one that is cut twice, by curl: byte for byte.
func TestTransfersThroughBadConnections(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	f := h.filed(owner)
	content := noise(transferSize)
	const mib = 1 << 20
	s := newScissors(t, p.url, 3*mib, 10*mib, 25*mib, 26*mib, 60*mib)
	f.upload(s.url, "big.bin", content, func(int) {})
	if s.count() != 5 {
		t.Errorf("cut %d times", s.count())
	}
	onDisk, err := os.ReadFile(filepath.Join(h.volume(f.id), "big.bin"))
	if err != nil || sha256.Sum256(onDisk) != sha256.Sum256(content) {
		t.Fatalf("another file is on the node: %v", err)
	}
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Fatal(err) // the machines that tests run on have it
	}
	down := newScissors(t, p.url, 5*mib, 40*mib)
	to := filepath.Join(t.TempDir(), "big.bin")
	for try := range 20 {
		c := exec.CommandContext(t.Context(), curl, "-sS", "-f", "-C", "-", "-H", "x-api-key: "+adminKey, "-o", to, down.url+f.base+"/content?path=big.bin")
		said, err := c.CombinedOutput()
		if err == nil {
			break
		}
		if try == 19 {
			t.Fatalf("%v: %s", err, said)
		}
	}
	got, err := os.ReadFile(to)
	if err != nil || sha256.Sum256(got) != sha256.Sum256(content) || down.count() != 2 {
		t.Fatalf("%d bytes after %d cuts: %v", len(got), down.count(), err)
	}
}

// The agent is killed while a file goes up, and while one comes down: the upload
// goes on where it is safe, the download is no whole file.
func TestTransfersOutliveTheAgent(t *testing.T) {
	t.Parallel()
	runtimetest.DockerHost(t)
	p := startPanel(t, "")
	h := p.addProcess("a")
	f := h.filed(p.user("anna"))
	content := noise(transferSize)
	var pid sync.Once
	killed := make(chan struct{})
	slow := &gated{Reader: bytes.NewReader(content), after: transferSize / 2, reached: func() {
		pid.Do(func() { h.killAgent(); close(killed) })
	}}
	_, header := f.is(http.StatusCreated, "POST", "/uploads", nil, "Tus-Resumable", "1.0.0", "Upload-Length", strconv.Itoa(len(content)),
		"Upload-Metadata", "filename "+base64.StdEncoding.EncodeToString([]byte("big.bin")))
	at := header.Get("Location")
	req, err := http.NewRequestWithContext(t.Context(), "PATCH", p.url+at, slow)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = transferSize
	for name, value := range map[string]string{"x-api-key": adminKey, "Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"} {
		req.Header.Set(name, value)
	}
	if res, err := http.DefaultClient.Do(req); err == nil {
		if _ = res.Body.Close(); res.StatusCode < 400 {
			t.Fatalf("with a dead agent: %s", res.Status)
		}
	}
	<-killed
	eventually(t, "the node is away", func() bool { return !p.app.Fleet.Online(h.id) })
	f.is(http.StatusServiceUnavailable, "PUT", "/content?path=a", []byte("x"))
	h.spawn()
	h.awaitOnline()
	f.resume(at, content)
	whole, _ := f.is(200, "GET", "/content?path=big.bin", nil)
	if sha256.Sum256(whole) != sha256.Sum256(content) {
		t.Error("another file came back")
	}

	res, err := f.call(p.url, "GET", f.base+"/content?path=big.bin", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if _, err := io.CopyN(io.Discard, res.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	h.killAgent()
	if n, err := io.Copy(io.Discard, res.Body); err == nil {
		t.Errorf("it ended as if whole, with %d bytes more", n)
	}
}

// resume sends what is missing of an upload.
func (f *filed) resume(at string, content []byte) {
	t := f.panel.t
	t.Helper()
	res, err := f.call(f.panel.url, "HEAD", at, nil, "Tus-Resumable", "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	offset, err := strconv.Atoi(res.Header.Get("Upload-Offset"))
	if err != nil || offset >= len(content) {
		t.Fatalf("%s: %v", res.Status, res.Header)
	}
	t.Logf("goes on at %d of %d", offset, len(content))
	_, rest, _ := strings.Cut(at, "/files")
	sum := sha256.Sum256(content[offset:])
	f.is(http.StatusNoContent, "PATCH", rest, content[offset:], "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream",
		"Upload-Offset", strconv.Itoa(offset), "Upload-Checksum", "sha256 "+base64.StdEncoding.EncodeToString(sum[:]))
}

// gated calls reached when so many bytes were read.
type gated struct {
	*bytes.Reader
	after   int
	read    int
	reached func()
}

// Read reads at most 64 KiB.
func (g *gated) Read(p []byte) (int, error) {
	n, err := g.Reader.Read(p[:min(len(p), 64<<10)])
	if g.read += n; g.read >= g.after {
		g.reached()
	}
	return n, err
}

// WriteTo is Reader's no more.
func (g *gated) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{g})
}

// A job on files outlives the controller, and is done once.
func TestFileJobOutlivesTheController(t *testing.T) {
	t.Parallel()
	_, h, owner := setup(t)
	f := h.filed(owner)
	for n := range 20 {
		f.is(200, "PUT", "/content?path=many/"+strconv.Itoa(n), noise(1000))
	}
	var made data[jobView]
	h.panel.must(http.StatusAccepted, "POST", f.base+"/delete", map[string]any{"paths": []string{"many"}}, &made)
	p := h.restartPanel(func() {})
	f.panel = p
	p.awaitJob(made.Data.ID, "succeeded")
	if got := f.paths("."); len(got) != 0 {
		t.Errorf("%v", got)
	}
	var list data[[]json.RawMessage]
	p.must(http.StatusOK, "GET", "/api/v1/events?type=file.deleted&instance_id="+f.id, nil, &list)
	if len(list.Data) != 1 {
		t.Errorf("%s", list.Data)
	}
}
