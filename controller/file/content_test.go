package file_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// noise is bytes of which no two parts are alike.
func noise(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{7})
	_, _ = r.Read(b)
	return b
}

func TestDownload(t *testing.T) {
	t.Parallel()
	b := setup(t)
	content := noise(3<<20 + 17)
	b.volume.do(func() { b.volume.files["dir/my page.html"] = content })
	path := "/content?path=" + escaped("dir/my page.html")
	a := b.call(b.read, "GET", path, nil).is(200, nil)
	for name, want := range map[string]string{
		"Content-Type": "application/octet-stream", "X-Content-Type-Options": "nosniff", "Content-Disposition": `attachment; filename="my page.html"`,
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox", "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache",
		"Content-Length": "3145745", "Etag": `"` + etag(content) + `"`,
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if !bytes.Equal(a.body, content) {
		t.Error("another content came")
	}
	a = b.call(b.read, "GET", path+"&inline=text", nil).is(200, nil)
	if kind := a.header.Get("Content-Type"); kind != "text/plain; charset=utf-8" || a.header.Get("Content-Disposition") != `inline; filename="my page.html"` {
		t.Errorf("inline as %s", kind)
	}
	tag := a.header.Get("Etag")
	if a = b.call(b.read, "GET", path, nil, "If-None-Match", tag).is(304, nil); len(a.body) != 0 {
		t.Errorf("%d bytes with a 304", len(a.body))
	}
	a = b.call(b.read, "GET", path, nil, "Range", "bytes=1048576-").is(206, nil)
	if !bytes.Equal(a.body, content[1<<20:]) || a.header.Get("Content-Range") != "bytes 1048576-3145744/3145745" {
		t.Errorf("%d bytes as %s", len(a.body), a.header.Get("Content-Range"))
	}
	if a = b.call(b.read, "GET", path, nil, "Range", "bytes=0-9", "If-Range", tag).is(206, nil); !bytes.Equal(a.body, content[:10]) {
		t.Error("another part came")
	}
	b.call(b.read, "GET", path, nil, "Range", "bytes=0-9", "If-Range", `"another"`).is(200, nil)
	b.call(b.read, "GET", path, nil, "Range", "bytes=0-1,5-6").is(200, nil) // the whole: it may be
	a = b.call(b.read, "GET", path, nil, "Range", "bytes=9999999-")
	a.refused(416, "BAD_REQUEST")
	if a.header.Get("Content-Range") != "bytes */3145745" {
		t.Errorf("%v", a.header)
	}
	if a = b.call(b.read, "HEAD", path, nil).is(200, nil); a.header.Get("Content-Length") != "3145745" || a.header.Get("Etag") != tag {
		t.Errorf("%v", a.header)
	}
	b.call(b.read, "HEAD", "/content?path=none", nil).is(404, nil)
	b.call(b.read, "GET", "/content?path=none", nil).refused(404, "NOT_FOUND")
	b.call(b.read, "GET", path+"&inline=html", nil).refused(422, "VALIDATION_ERROR")
	// Each that began was noted: not what the browser had, and no later part.
	want := slices.Repeat([]string{`file.downloaded {"path":"dir/my page.html"} by owner`}, 5)
	if facts := b.facts(); !slices.Equal(facts, want) {
		t.Errorf("reading left %v", facts)
	}
}

// However few bytes it has, a file comes whole.
func TestDownloadOfLittle(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for size := range 4 {
		content := noise(size)
		b.volume.do(func() { b.volume.files["little"] = content })
		if a := b.call(b.read, "GET", "/content?path=little", nil).is(200, nil); !bytes.Equal(a.body, content) {
			t.Errorf("%q of %q", a.body, content)
		}
	}
}

// The moment the right ends, so does the download: what was not sent is not sent. A
// large one is on its way through two goroutines then.
func TestDownloadIsCutWithItsRight(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(b *bench){
		"suspended": func(b *bench) {
			b.at(b.admin, "POST", "/api/v1/instances/"+string(b.id)+"/suspend", nil).is(202, nil)
		},
		"revoked": func(b *bench) {
			ctx := access.With(b.t.Context(), access.Local())
			keys, _, err := b.users.Keys(ctx, identity.KeyFilter{User: b.owner})
			if err != nil {
				b.t.Fatal(err)
			}
			for _, k := range keys {
				if err := b.users.RevokeKey(ctx, k.ID); err != nil {
					b.t.Fatal(err)
				}
			}
		},
		"the agent dies": func(b *bench) { b.agent.Stop() },
	} {
		for _, size := range []int{32 << 10, 1 << 20} {
			t.Run(fmt.Sprint(name, ", ", size), func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				body := b.halfOf(noise(size))
				end(b)
				rest, err := io.ReadAll(body)
				if err == nil || len(rest) != 0 {
					t.Errorf("it ended as if whole: %d bytes more, %v", len(rest), err)
				}
			})
		}
	}
}

// halfOf begins a download of which half comes, and gives its body once it has.
func (b *bench) halfOf(content []byte) io.Reader {
	b.t.Helper()
	b.volume.do(func() { b.volume.files["a"], b.volume.gate = content, make(chan struct{}) })
	res := b.open(b.key, "GET", "/api/v1/instances/"+string(b.id)+"/files/content?path=a", nil)
	b.t.Cleanup(func() { _ = res.Body.Close() })
	got := make([]byte, len(content)/2)
	if _, err := io.ReadFull(res.Body, got); err != nil || res.StatusCode != 200 || !bytes.Equal(got, content[:len(got)]) {
		b.t.Fatalf("%s: something else came, %v", res.Status, err)
	}
	return res.Body
}

// A client that goes away ends the call to the agent.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	b := setup(t)
	big, gone := noise(8<<20), make(chan struct{})
	b.agent.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.Header().Set("Content-Length", "1099511627776")
		for {
			if _, err := w.Write(big); err != nil {
				return
			}
		}
	}))
	res := b.open(b.key, "GET", "/api/v1/instances/"+string(b.id)+"/files/content?path=a", nil)
	_, _ = io.CopyN(io.Discard, res.Body, 1<<20)
	_ = res.Body.Close()
	select {
	case <-gone:
	case <-time.After(patience):
		t.Fatal("the agent still sends")
	}
}

// What a node gives is with the client while the node makes up its mind about the
// rest, however much or little it is, and whether or not its length is known.
func TestDownloadOfWhatComesSlowly(t *testing.T) {
	t.Parallel()
	pieces := []int{16 << 10, 1, 100 << 10, 5, 5000}
	for path, size := range map[string]string{"/content?path=a": "123790", "/bundle?format=tar": ""} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			come := make(chan struct{}, len(pieces))
			b.agent.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if size != "" {
					w.Header().Set("Content-Length", size)
				}
				for _, n := range pieces {
					_, _ = w.Write(noise(n))
					_ = http.NewResponseController(w).Flush()
					select {
					case <-come:
					case <-r.Context().Done():
						return
					}
				}
			}))
			res := b.open(b.read, "GET", "/api/v1/instances/"+string(b.id)+"/files"+path, nil)
			stuck := time.AfterFunc(patience, func() { _ = res.Body.Close() })
			defer func() { _, _ = stuck.Stop(), res.Body.Close() }()
			for _, n := range pieces {
				got := make([]byte, n)
				if _, err := io.ReadFull(res.Body, got); err != nil || !bytes.Equal(got, noise(n)) {
					t.Fatalf("a piece of %d bytes: %v", n, err)
				}
				come <- struct{}{}
			}
			if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 {
				t.Errorf("%d bytes more, %v", len(rest), err)
			}
		})
	}
}

func TestTwoEditors(t *testing.T) {
	t.Parallel()
	b := setup(t)
	path := "/content?path=config.txt"
	var e entryView
	b.call(b.key, "PUT", path, "first", "If-None-Match", "*").is(200, &e)
	b.call(b.key, "PUT", path, "again", "If-None-Match", "*").refused(412, "CONFLICT")
	tag := b.call(b.key, "GET", path, nil).is(200, nil).header.Get("Etag")
	if tag != e.ETag {
		t.Errorf("%s, and %s from the writing", tag, e.ETag)
	}
	var wins, losses int
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, text := range []string{"one", "two", "three", "four"} {
		wg.Go(func() {
			a := b.call(b.key, "PUT", path, text, "If-Match", tag)
			mu.Lock()
			defer mu.Unlock()
			switch a.status {
			case 200:
				wins++
			case 412:
				losses++
				if !strings.Contains(string(a.body), "CONFLICT") || !strings.Contains(string(a.body), "somebody else") {
					t.Errorf("%s", a.body)
				}
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if wins != 1 || losses != 3 {
		t.Errorf("%d won, %d lost", wins, losses)
	}
	b.call(b.key, "PUT", path, "any", "If-Match", "*").is(200, nil)
	b.call(b.key, "PUT", path, "plain").is(200, nil)
	b.volume.do(func() {
		b.volume.refuse = func(*http.Request) *problem.Problem {
			return problem.New(problem.Conflict, "the instance is being moved")
		}
	})
	b.call(b.key, "PUT", path, "x", "If-Match", "*").refused(409, "CONFLICT") // another one than the editors'
	b.volume.do(func() { b.volume.refuse = nil })
	for _, bad := range []string{"abc", `W/"abc"`, `"a", "b"`, `"`, `"a"b"`} {
		b.call(b.key, "PUT", path, "x", "If-Match", bad).refused(422, "VALIDATION_ERROR")
	}
	b.call(b.key, "PUT", path, "x", "If-None-Match", tag).refused(422, "VALIDATION_ERROR")
	b.call(b.key, "PUT", path, "x", "If-None-Match", "*", "If-Match", tag).refused(422, "VALIDATION_ERROR")
	b.call(b.key, "PUT", "/content?path=big", noise(10<<20+1)).refused(413, "TOO_LARGE")
	whole := noise(10 << 20)
	b.call(b.key, "PUT", "/content?path=big", whole).is(200, nil)
	if got, _ := b.volume.file("big"); sha256.Sum256(got) != sha256.Sum256(whole) {
		t.Error("something else was written")
	}
	if facts := b.facts(); len(facts) != 6 || facts[5] != `file.written {"path":"big","size":10485760} by owner` {
		t.Errorf("%v", facts)
	}
}

// A body that breaks off writes nothing.
func TestHalfABodyWritesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pipe, end := io.Pipe()
	go func() {
		_, _ = end.Write(noise(1 << 20))
		_ = end.CloseWithError(io.ErrUnexpectedEOF)
	}()
	req := must(http.NewRequestWithContext(t.Context(), "PUT", b.url+"/api/v1/instances/"+string(b.id)+"/files/content?path=a", pipe))(t)
	req.Header.Set("x-api-key", b.key)
	req.ContentLength = 2 << 20
	if res, err := http.DefaultClient.Do(req); err == nil {
		_ = res.Body.Close()
	}
	b.call(b.key, "GET", "", nil).is(200, nil)
	if _, there := b.volume.file("a"); there || len(b.facts()) != 0 {
		t.Errorf("half of it was written: %v", b.facts())
	}
}

func TestTickets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	content := noise(100 << 10)
	b.volume.do(func() { b.volume.files["a.bin"] = content })
	var ticket struct {
		URL string
	}
	get := func(body any) string {
		b.call(b.read, "POST", "/ticket", body).is(201, &ticket)
		return ticket.URL
	}
	address := get(map[string]any{"path": "a.bin"})
	b.at("", "HEAD", address, nil).is(405, nil) // looking doesn't use it up
	a := b.at("", "GET", address, nil).is(200, nil)
	if !bytes.Equal(a.body, content) || a.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%v", a.header)
	}
	b.at("", "GET", address, nil).refused(404, "NOT_FOUND") // once
	a = b.at("", "GET", get(map[string]any{"bundle": map[string]any{"folder": "world", "format": "tar.gz"}}), nil).is(200, nil)
	if string(a.body) != "an archive of world as tar.gz" || a.header.Get("Content-Disposition") != `attachment; filename="world.tar.gz"` || a.header.Get("Content-Type") != "application/gzip" {
		t.Errorf("%s %v", a.body, a.header)
	}
	address = get(map[string]any{"path": "a.bin"})
	b.write(`UPDATE instances SET suspended = 1 WHERE id = ?`, string(b.id))
	b.at("", "GET", address, nil).refused(409, "CONFLICT")
	b.at("", "GET", "/api/v1/downloads/nonsense", nil).refused(404, "NOT_FOUND")
	b.call(b.other, "POST", "/ticket", map[string]any{"path": "a.bin"}).refused(404, "NOT_FOUND")
}

func TestBundle(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.call(b.read, "GET", "/bundle?path=world&paths=world/a&paths=world/b", nil).is(200, nil)
	if string(a.body) != "an archive of world as zip" || a.header.Get("Content-Disposition") != `attachment; filename="world.zip"` {
		t.Errorf("%s %v", a.body, a.header)
	}
	a = b.call(b.read, "GET", "/bundle", nil).is(200, nil)
	if want := `attachment; filename="` + string(b.id) + `.zip"`; a.header.Get("Content-Disposition") != want {
		t.Errorf("%v", a.header)
	}
	b.call(b.read, "GET", "/bundle?format=rar", nil).refused(422, "VALIDATION_ERROR")
	if _, fields := b.call(b.read, "GET", "/bundle?path=world&paths=world/a&paths=elsewhere", nil).refused(422, "VALIDATION_ERROR"); !slices.Equal(fields, []string{"paths[1]"}) {
		t.Errorf("%v", fields)
	}
}

// Who only looks holds nothing.
func TestLooksHoldNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.volume.do(func() { b.volume.files["a"] = noise(1 << 20) })
	for range 70 { // a user has 64 transfers at a time
		b.call(b.read, "HEAD", "/bundle", nil).is(200, nil)
		b.call(b.read, "GET", "/content?path=a", nil, "If-None-Match", `"`+etag(noise(1<<20))+`"`).is(304, nil)
		b.call(b.read, "GET", "/content?path=none", nil).is(404, nil)
	}
	b.call(b.read, "GET", "/content?path=a", nil).is(200, nil)
}

// Names come out of a volume and go into a header.
func TestHostileNamesInHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, want := range map[wire.Path]string{
		"a\r\nSet-Cookie: x=1": `attachment; filename="a__Set-Cookie: x=1"`,
		`a"; filename="b.exe`:  `attachment; filename="a_; filename=_b.exe"; filename*=UTF-8''a%22%3B%20filename%3D%22b.exe`,
		"\xff\xfe":             `attachment; filename="__"`,
		"é%41.txt":             `attachment; filename="__41.txt"; filename*=UTF-8''%C3%A9%2541.txt`,
		"cod\u202etxt.exe":     `attachment; filename="cod_txt.exe"`,
		`..\..\evil`:           `attachment; filename=".._.._evil"`,
		"日本":                   `attachment; filename="__"; filename*=UTF-8''%E6%97%A5%E6%9C%AC`,
		"tab\there\x7f":        `attachment; filename="tab_here_"`,
	} {
		b.volume.do(func() { b.volume.files[name] = []byte("x") })
		text, _ := name.MarshalText()
		a := b.call(b.read, "GET", "/content?path="+escaped(string(text)), nil).is(200, nil)
		if got := a.header.Get("Content-Disposition"); got != want {
			t.Errorf("%q: %s, want %s", name, got, want)
		}
		if a.header.Get("Set-Cookie") != "" {
			t.Errorf("%q made a header", name)
		}
	}
}
