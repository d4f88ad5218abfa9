package file_test

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/problem"
)

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// begin begins an upload and gives its address.
func (b *bench) begin(size int, meta string) string {
	b.t.Helper()
	a := b.call(b.key, "POST", "/uploads", nil, "Tus-Resumable", "1.0.0", "Upload-Length", strconv.Itoa(size), "Upload-Metadata", meta).is(201, nil)
	at := a.header.Get("Location")
	if !strings.HasPrefix(at, "/api/v1/instances/"+string(b.id)+"/files/uploads/") || a.header.Get("Tus-Resumable") != "1.0.0" || a.header.Get("Upload-Expires") == "" {
		b.t.Fatalf("%v", a.header)
	}
	return at
}

func (b *bench) patch(at string, offset int, body any, h ...string) answer {
	b.t.Helper()
	return b.at(b.key, "PATCH", at, body, append([]string{"Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream", "Upload-Offset", strconv.Itoa(offset)}, h...)...)
}

func (b *bench) head(at string) answer {
	b.t.Helper()
	return b.at(b.key, "HEAD", at, nil, "Tus-Resumable", "1.0.0")
}

func (a answer) offset(want int) answer {
	a.t.Helper()
	if got := a.header.Get("Upload-Offset"); got != strconv.Itoa(want) {
		a.t.Errorf("%s: offset %q, want %d", a.call, got, want)
	}
	return a
}

func TestUpload(t *testing.T) {
	t.Parallel()
	b := setup(t)
	content := noise(5 << 20)
	at := b.begin(len(content), "filename "+b64("save.dat")+",path "+b64("world/")+",overwrite "+b64("true"))
	b.head(at).is(200, nil).offset(0)
	b.patch(at, 0, content[:1<<20]).is(204, nil).offset(1 << 20)
	b.patch(at, 0, content[:1<<20]).refused(409, "CONFLICT") // another offset
	b.patch(at, 2<<20, content[2<<20:]).refused(409, "CONFLICT")
	a := b.head(at).is(200, nil).offset(1 << 20)
	if a.header.Get("Upload-Length") != "5242880" || a.header.Get("Cache-Control") != "no-store" || !strings.Contains(a.header.Get("Upload-Metadata"), "filename "+b64("save.dat")) {
		t.Errorf("%v", a.header)
	}
	var list []struct{ Path, URL string }
	b.call(b.key, "GET", "/uploads", nil).is(200, &list)
	if len(list) != 1 || list[0].Path != "world/save.dat" || list[0].URL != at {
		t.Errorf("%v", list)
	}
	// A sum that doesn't fit: the part counts for nothing.
	wrong := sha256.Sum256([]byte("something else"))
	b.patch(at, 1<<20, content[1<<20:2<<20], "Upload-Checksum", "sha256 "+b64(string(wrong[:]))).refused(460, "VALIDATION_ERROR")
	b.head(at).offset(1 << 20)
	right := sha256.Sum256(content[1<<20 : 2<<20])
	b.patch(at, 1<<20, content[1<<20:2<<20], "Upload-Checksum", "sha256 "+b64(string(right[:]))).is(204, nil).offset(2 << 20)
	b.patch(at, 2<<20, content[2<<20:]).is(204, nil).offset(5 << 20)
	if got, _ := b.volume.file("world/save.dat"); sha256.Sum256(got) != sha256.Sum256(content) {
		t.Error("another file is there")
	}
	b.head(at).is(200, nil).offset(5 << 20) // asked once more
	b.patch(at, 5<<20, nil).is(204, nil)
	b.call(b.key, "GET", "/uploads", nil).is(200, &list)
	if len(list) != 0 {
		t.Errorf("%v", list)
	}
	if facts := b.facts(); len(facts) != 1 || facts[0] != `file.uploaded {"path":"world/save.dat","size":5242880} by owner` {
		t.Errorf("%v", facts)
	}
}

func TestUploadInOneCallAndEmpty(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.call(b.key, "POST", "/uploads", "hello", "Tus-Resumable", "1.0.0", "Upload-Length", "5", "Upload-Metadata", "path "+b64("a/b%25"), "Content-Type", "application/offset+octet-stream").is(201, nil).offset(5)
	if got, _ := b.volume.file("a/b%"); string(got) != "hello" {
		t.Errorf("%q", got)
	}
	b.head(a.header.Get("Location")).is(200, nil).offset(5)
	b.begin2(0, "filename "+b64("empty"))
	if got, there := b.volume.file("empty"); !there || len(got) != 0 {
		t.Errorf("%q %v", got, there)
	}
	if facts := b.facts(); len(facts) != 2 {
		t.Errorf("%v", facts)
	}
}

// begin2 begins an upload that is finished with it.
func (b *bench) begin2(size int, meta string) {
	b.t.Helper()
	b.call(b.key, "POST", "/uploads", nil, "Tus-Resumable", "1.0.0", "Upload-Length", strconv.Itoa(size), "Upload-Metadata", meta).is(201, nil).offset(size)
}

func TestTusProtocol(t *testing.T) {
	t.Parallel()
	b := setup(t)
	a := b.call("", "OPTIONS", "/uploads", nil).is(204, nil)
	for name, want := range map[string]string{"Tus-Version": "1.0.0", "Tus-Resumable": "1.0.0", "Tus-Max-Size": "107374182400", "Tus-Checksum-Algorithm": "sha256",
		"Tus-Extension": "creation,creation-with-upload,expiration,termination,checksum"} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	before := b.rows()
	if a := b.call(b.key, "POST", "/uploads", nil, "Tus-Resumable", "0.2.2", "Upload-Length", "1"); a.status != 412 || a.header.Get("Tus-Version") != "1.0.0" {
		t.Errorf("%d %v", a.status, a.header)
	}
	begin := func(h ...string) answer {
		return b.call(b.key, "POST", "/uploads", nil, append([]string{"Tus-Resumable", "1.0.0"}, h...)...)
	}
	name := "filename " + b64("a")
	begin("Upload-Metadata", name).refused(400, "BAD_REQUEST")
	begin("Upload-Metadata", name, "Upload-Defer-Length", "1").refused(400, "BAD_REQUEST")
	for _, length := range []string{"-1", "+1", "x", "1.5", "99999999999999999999"} {
		begin("Upload-Metadata", name, "Upload-Length", length).refused(400, "BAD_REQUEST")
	}
	begin("Upload-Metadata", name, "Upload-Length", "107374182401").refused(413, "TOO_LARGE")
	for _, meta := range []string{"", "filename", "filename !!!", name + "," + name, "path " + b64("../x"), "path " + b64("/etc/"), "path " + b64("a") + ",overwrite " + b64("maybe"),
		"filename " + b64("a/b"), "filename " + b64(".."), "filename " + b64("."), "filename " + b64("a\x00"), "filename " + b64(strings.Repeat("a", 256)), strings.Repeat("a,", 5000),
		"path " + b64("a/../b/") + "," + name} {
		begin("Upload-Metadata", meta, "Upload-Length", "1").refused(422, "VALIDATION_ERROR")
	}
	b.call(b.key, "POST", "/uploads", "x", "Tus-Resumable", "1.0.0", "Upload-Length", "1", "Upload-Metadata", name, "Content-Type", "text/plain").refused(415, "UNSUPPORTED_MEDIA_TYPE")
	if after := b.rows(); after != before || len(b.volume.calls) != 0 {
		t.Errorf("left behind: %v, before %v; %v", after, before, b.volume.calls)
	}

	at := b.begin(3, name)
	b.at(b.key, "PATCH", at, "abc", "Content-Type", "application/offset+octet-stream", "Upload-Offset", "0").refused(412, "BAD_REQUEST")
	b.at(b.key, "PATCH", at, "abc", "Tus-Resumable", "1.0.0", "Upload-Offset", "0").refused(415, "UNSUPPORTED_MEDIA_TYPE")
	b.at(b.key, "PATCH", at, "abc", "Tus-Resumable", "1.0.0", "Content-Type", "application/offset+octet-stream").refused(400, "BAD_REQUEST")
	b.patch(at, 0, "abcd").refused(413, "TOO_LARGE")
	b.patch(at, 0, "abc", "Upload-Checksum", "md5 "+b64("x")).refused(400, "BAD_REQUEST")
	b.patch(at, 0, "abc", "Upload-Checksum", "sha256 "+b64("x")).refused(400, "BAD_REQUEST")
	b.head(at).is(200, nil).offset(0)
	b.at(b.key, "POST", at, "a", "Tus-Resumable", "1.0.0", "X-HTTP-Method-Override", "PATCH", "Content-Type", "application/offset+octet-stream", "Upload-Offset", "0").is(204, nil).offset(1)
	b.at(b.key, "POST", at, nil, "Tus-Resumable", "1.0.0").refused(405, "METHOD_NOT_ALLOWED")
	b.at(b.key, "DELETE", at, nil, "Tus-Resumable", "1.0.0").is(204, nil)
	b.head(at).is(404, nil)
	b.patch(at, 1, "bc").refused(404, "NOT_FOUND")
	b.at(b.key, "DELETE", at, nil, "Tus-Resumable", "1.0.0").refused(404, "NOT_FOUND")
	if len(b.volume.uploads) != 0 {
		t.Error("the agent has it still")
	}
}

// An upload belongs to whoever began it, and to its instance.
func TestUploadsAreFoundThroughTheirInstance(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := b.begin(3, "filename "+b64("a"))
	_, id, _ := strings.Cut(at, "/uploads/")
	b.at(b.other, "HEAD", at, nil, "Tus-Resumable", "1.0.0").is(404, nil)
	b.at(b.admin, "HEAD", at, nil, "Tus-Resumable", "1.0.0").is(200, nil)
	b.at(b.admin, "HEAD", "/api/v1/instances/0123abcd/files/uploads/"+id, nil, "Tus-Resumable", "1.0.0").is(404, nil)
	var list []any
	b.call(b.admin, "GET", "/uploads", nil).is(200, &list)
	if len(list) != 1 {
		t.Errorf("%v", list)
	}
}

func TestUploadsAreCapped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 64 {
		b.begin(1, "filename "+b64("a"))
	}
	message, _ := b.call(b.key, "POST", "/uploads", nil, "Tus-Resumable", "1.0.0", "Upload-Length", "1", "Upload-Metadata", "filename "+b64("a")).refused(429, "RATE_LIMITED")
	if !strings.Contains(message, "64 unfinished uploads") {
		t.Error(message)
	}
	b.clock.pass(25 * time.Hour)
	var list []struct{ URL string }
	b.call(b.key, "GET", "/uploads", nil).is(200, &list)
	b.head(list[0].URL).is(404, nil) // too old, swept or not
	if err := b.files.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := b.rows()[0]; left != 0 {
		t.Errorf("%d are left", left)
	}
	b.begin(1, "filename "+b64("a"))
}

// What a connection that was cut brought stays, and the client goes on there,
// though the controller has not yet heard of the cut.
func TestUploadGoesOnWhereItWasCut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	content := noise(4 << 20)
	at := b.begin(len(content), "filename "+b64("a"))
	for n := range 3 {
		from := b.resumed(at)
		pipe, end := io.Pipe()
		req := must(http.NewRequestWithContext(t.Context(), "PATCH", b.url+at, pipe))(t)
		for name, value := range map[string]string{"x-api-key": b.key, "Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream", "Upload-Offset": strconv.Itoa(from)} {
			req.Header.Set(name, value)
		}
		req.ContentLength = int64(len(content) - from)
		over := make(chan struct{})
		go func() {
			defer close(over)
			if res, err := http.DefaultClient.Do(req); err == nil {
				_ = res.Body.Close()
			}
		}()
		_, _ = end.Write(content[from : from+1<<20]) // a part before may arrive late, and end this one
		if n == 1 {                                  // it only stalls: the next call about the upload ends the part
			b.resumed(at)
		}
		_ = end.CloseWithError(io.ErrUnexpectedEOF)
		<-over
	}
	for tries := 0; ; tries++ { // a late part is told from a good one by its offset
		from := b.resumed(at)
		if a := b.patch(at, from, content[from:]); a.status == http.StatusNoContent {
			break
		} else if tries == 10 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	if whole, _ := b.volume.file("a"); sha256.Sum256(whole) != sha256.Sum256(content) {
		t.Error("another file is there")
	}
}

// Calls about one upload end each other: the one that is ended says so, wherever it
// was.
func TestCallsThatOvertakeEachOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := b.begin(1<<20, "filename "+b64("a"))
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for range 40 {
				if a := b.head(at); a.status != http.StatusOK && a.status != http.StatusLocked {
					t.Errorf("%d", a.status)
					return
				}
			}
		})
	}
	asking.Wait()
}

// resumed gives the offset of an upload, as a client asks for it that goes on.
func (b *bench) resumed(at string) int {
	b.t.Helper()
	for range 10 {
		a := b.head(at)
		if a.status == http.StatusLocked { // overtaken by what was late
			continue
		}
		offset, err := strconv.Atoi(a.is(200, nil).header.Get("Upload-Offset"))
		if err != nil {
			b.t.Fatal(err)
		}
		return offset
	}
	b.t.Fatal("no offset")
	return 0
}

// The agent lost what it had: the client begins again at 0.
func TestUploadThatTheNodeForgot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := b.begin(6, "filename "+b64("a"))
	b.patch(at, 0, "abc").is(204, nil)
	b.volume.do(func() { clear(b.volume.uploads) })
	b.patch(at, 3, "def").refused(404, "NOT_FOUND")
	b.head(at).is(200, nil).offset(0)
	b.patch(at, 0, "abcdef").is(204, nil).offset(6)
}

// The last byte is there and putting it in place fails, or its answer is lost:
// whoever asks again gets it done, once.
func TestFinishingAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := b.begin(3, "filename "+b64("a"))
	lost := true
	b.volume.do(func() {
		b.volume.refuse = func(r *http.Request) *problem.Problem {
			if r.Method == http.MethodPost && lost {
				return problem.New(problem.InsufficientResources, "the disk of this instance is full (512 MiB)")
			}
			return nil
		}
	})
	b.patch(at, 0, "abc").refused(507, "INSUFFICIENT_RESOURCES")
	b.head(at).is(507, nil)
	if facts := b.facts(); len(facts) != 0 {
		t.Errorf("%v", facts)
	}
	b.volume.do(func() { lost = false })
	b.head(at).is(200, nil).offset(3)
	b.head(at).is(200, nil).offset(3)
	if facts := b.facts(); len(facts) != 1 {
		t.Errorf("%v", facts)
	}
	// The controller died after the agent had done it, and the agent forgot.
	b.write(`UPDATE uploads SET state = 'finishing'`)
	b.volume.do(func() { clear(b.volume.uploads); delete(b.volume.files, "a") })
	b.head(at).is(200, nil).offset(0)
}

// The right to write ends in the middle of a part: the client is told so. One who
// sends nothing more is refused as soon, and not for being too slow.
func TestUploadIsCutWithItsRight(t *testing.T) {
	t.Parallel()
	for name, stalls := range map[string]bool{"a client who sends on": false, "a client who stalls": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			uploadIsCut(t, stalls)
		})
	}
}

func uploadIsCut(t *testing.T, stalls bool) {
	b := setup(t)
	at := b.begin(1<<20, "filename "+b64("a"))
	pipe, end := io.Pipe()
	done := make(chan answer, 1)
	go func() { done <- b.patch(at, 0, pipe) }()
	if _, err := end.Write(noise(1000)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the part is under way", func() (under bool) {
		b.volume.do(func() {
			for _, u := range b.volume.uploads {
				under = u.during != nil
			}
		})
		return under
	})
	b.at(b.admin, "POST", "/api/v1/instances/"+string(b.id)+"/suspend", map[string]any{"reason": "unpaid"}).is(202, nil)
	go func() {
		for !stalls {
			if _, err := end.Write(noise(64 << 10)); err != nil {
				return
			}
		}
	}()
	select {
	case a := <-done:
		// The node may be the first to say that the part broke off.
		if message, _ := a.refused(409, "CONFLICT"); !stalls && !strings.Contains(message, "suspended") {
			t.Error(message)
		}
	case <-time.After(patience):
		t.Fatal("it goes on")
	}
	_ = end.Close()
	eventually(t, "the agent has heard", func() (ended bool) {
		b.volume.do(func() {
			for _, u := range b.volume.uploads {
				ended = u.during == nil
			}
		})
		return ended
	})
	if facts := b.facts(); len(facts) != 0 {
		t.Errorf("%v", facts)
	}
}
