package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/agent/files"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) {
	// net/http sleeps half a second before it closes a connection of which it has
	// not read everything, and nothing waits for that.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// memory is a volume in memory.
type memory struct {
	mu    sync.Mutex
	files map[string]string
	fails error
}

func (m *memory) put(path string, fill func(io.Writer) error) error {
	var b bytes.Buffer
	if err := fill(&b); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fails != nil {
		return m.fails
	}
	if m.files == nil {
		m.files = map[string]string{}
	}
	m.files[path] = b.String()
	return nil
}

// setup gives an installer that may reach loopback, and retries without pauses.
func setup(t *testing.T, handler http.HandlerFunc) (*Installer, *httptest.Server) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	i := New([]netip.Prefix{loopback})
	i.pause = 0
	t.Cleanup(i.Close)
	return i, server
}

func nothing(wire.Progress) {}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// run downloads one file.
func run(t *testing.T, i *Installer, url string, limit int64) (*memory, error) {
	t.Helper()
	var m memory
	return &m, i.Run(t.Context(), []wire.Download{{URL: url, Path: "f"}}, limit, m.put, nothing)
}

func refused(t *testing.T, err error, code problem.Code, words string) {
	t.Helper()
	var p *problem.Problem
	if !errors.As(err, &p) || p.Code != code || !strings.Contains(p.Message, words) || !strings.Contains(p.Message, "can't") {
		t.Errorf("the failure is %v, want %s with %q", err, code, words)
	}
}

func TestDownloadsAllInOrder(t *testing.T) {
	t.Parallel()
	i, server := setup(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.UserAgent(), "berth-agent/") || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("headers %v", r.Header)
		}
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/b?x=1", http.StatusFound)
			return
		}
		_, _ = fmt.Fprint(w, "text of "+r.URL.String())
	})
	var m memory
	var said []wire.Progress
	list := []wire.Download{{URL: server.URL + "/a", Path: "a"}, {URL: server.URL + "/moved", Path: "dir/b"}}
	if err := i.Run(t.Context(), list, 1<<20, m.put, func(p wire.Progress) { said = append(said, p) }); err != nil {
		t.Fatal(err)
	}
	if m.files["a"] != "text of /a" || m.files["dir/b"] != "text of /b?x=1" {
		t.Errorf("files %q", m.files)
	}
	last := said[len(said)-1]
	if last.Step != "install" || last.Percent != 100 || !strings.Contains(last.Message, "dir/b (2 of 2)") {
		t.Errorf("progress %+v", last)
	}
}

func TestLimitHoldsForAllTogether(t *testing.T) {
	t.Parallel()
	i, server := setup(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/chunked" {
			flush(w) // no Content-Length
		}
		_, _ = w.Write(make([]byte, 600))
	})
	for _, path := range []string{"/plain", "/chunked"} {
		if _, err := run(t, i, server.URL+path, 600); err != nil {
			t.Errorf("%s fits, but: %v", path, err)
		}
		m, err := run(t, i, server.URL+path, 599)
		refused(t, err, problem.InsufficientResources, "larger than the instance's disk")
		if len(m.files) != 0 {
			t.Error("a part was kept")
		}
	}
	var m memory
	twice := []wire.Download{{URL: server.URL, Path: "a"}, {URL: server.URL, Path: "b"}}
	refused(t, i.Run(t.Context(), twice, 1000, m.put, nothing), problem.InsufficientResources, "b from")
}

func TestFailuresOfTheServer(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	i, server := setup(t, func(w http.ResponseWriter, r *http.Request) {
		n := calls.Add(1)
		switch {
		case r.URL.Path == "/gone":
			http.NotFound(w, r)
		case r.URL.Path == "/down", r.URL.Path == "/twice" && n < 3:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.URL.Path == "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write(make([]byte, 10))
		default:
			_, _ = fmt.Fprint(w, "ok")
		}
	})
	for _, tt := range []struct {
		path  string
		calls int64
		code  problem.Code
		words string
	}{
		{"/gone", 1, problem.Validation, "answered 404"},
		{"/down", 3, problem.Validation, "answered 503"},
		{"/cut", 3, problem.ResourceBusy, "broke off"},
	} {
		calls.Store(0)
		m, err := run(t, i, server.URL+tt.path+"?token=secret", 1000)
		refused(t, err, tt.code, tt.words)
		if p := problem.From(err); strings.Contains(p.Message, "secret") {
			t.Errorf("the query is shown: %v", p.Message)
		}
		if calls.Load() != tt.calls || len(m.files) != 0 {
			t.Errorf("%s: %d calls, files %q", tt.path, calls.Load(), m.files)
		}
	}
	calls.Store(0)
	if m, err := run(t, i, server.URL+"/twice", 1000); err != nil || m.files["f"] != "ok" {
		t.Errorf("two bad answers and a good one: %v", err)
	}
	server.Close()
	_, err := run(t, i, server.URL, 1000)
	refused(t, err, problem.ResourceBusy, "doesn't answer")
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	i, server := setup(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/file":
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		case "/inside":
			http.Redirect(w, r, "http://10.0.0.1/", http.StatusFound)
		case "/metadata":
			http.Redirect(w, r, "http://[::ffff:169.254.169.254]/latest/meta-data/", http.StatusFound)
		case "/from":
			http.Redirect(w, r, "/to", http.StatusFound)
		default:
			_, _ = fmt.Fprint(w, r.Header.Get("Referer"))
		}
	})
	_, err := run(t, i, server.URL+"/loop", 1000)
	refused(t, err, problem.Validation, "more than 5 redirects")
	_, err = run(t, i, server.URL+"/file", 1000)
	refused(t, err, problem.Validation, "only http and https")
	for _, path := range []string{"/inside", "/metadata"} {
		_, err = run(t, i, server.URL+path, 1000)
		refused(t, err, problem.Forbidden, "not on the public internet")
	}
	if m, err := run(t, i, server.URL+"/from?token=x", 1000); err != nil || m.files["f"] != "" {
		t.Errorf("the old address is told to the next server: %q, %v", m.files["f"], err)
	}
	secure := httptest.NewTLSServer(http.RedirectHandler(server.URL, http.StatusFound))
	defer secure.Close()
	ours, ok := i.client.Transport.(*http.Transport)
	theirs, ok2 := secure.Client().Transport.(*http.Transport)
	if !ok || !ok2 {
		t.Fatal("not the transports that this test knows")
	}
	ours.TLSClientConfig = theirs.TLSClientConfig
	_, err = run(t, i, secure.URL, 1000)
	refused(t, err, problem.Validation, "from https to http")
}

func TestAddressesThatAreNone(t *testing.T) {
	t.Parallel()
	i, _ := setup(t, func(http.ResponseWriter, *http.Request) {})
	for _, url := range []string{"", "file:///etc/passwd", "ftp://example.com/x", "http://", "http:///x", "://", "gopher://x", "/etc/passwd", "http://%zz"} {
		m, err := run(t, i, url, 1000)
		if !problem.Is(err, problem.Validation) || len(m.files) != 0 {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestGuardDialsNothingPrivate(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer server.Close()
	i := New(nil)
	defer i.Close()
	i.pause = 0
	port := server.URL[strings.LastIndex(server.URL, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1.2.3"} {
		_, err := run(t, i, "http://"+host+port, 1000)
		refused(t, err, problem.Forbidden, "not on the public internet")
	}
	if calls.Load() != 0 {
		t.Errorf("%d calls came through", calls.Load())
	}
}

func TestInterruptedAndStalled(t *testing.T) {
	t.Parallel()
	reached := make(chan struct{}, 10)
	i, server := setup(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("begin"))
		flush(w)
		reached <- struct{}{}
		<-r.Context().Done() // and nothing more
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	var m memory
	if err := i.Run(ctx, []wire.Download{{URL: server.URL, Path: "f"}}, 1000, m.put, nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	i.stall = 10 * time.Millisecond
	_, err := run(t, i, server.URL, 1000)
	refused(t, err, problem.ResourceBusy, "doesn't answer or broke off")
	if len(m.files) != 0 {
		t.Error("a part was kept")
	}
}

func TestVolumeThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	i, server := setup(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "x") })
	for _, tt := range []struct {
		cause error
		code  problem.Code
		words string
	}{{syscall.ENOSPC, problem.InsufficientResources, "disk is full"}, {fmt.Errorf("%w: %w", files.ErrMany, syscall.ENOSPC), problem.InsufficientResources, "disk holds as many files as it can"},
		{errors.New("secret path"), problem.Internal, "can't write f"}} {
		m := memory{fails: tt.cause}
		err := i.Run(t.Context(), []wire.Download{{URL: server.URL, Path: "f"}}, 1000, m.put, nothing)
		refused(t, err, tt.code, tt.words)
		var p *problem.Problem
		if errors.As(err, &p) && strings.Contains(p.Message, "secret") {
			t.Errorf("the cause is shown: %s", p.Message)
		}
	}
}

func TestChecksums(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	i, server := setup(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		_, _ = fmt.Fprint(w, "hello")
	})
	const sum = "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824"
	for _, good := range []string{"", sum, strings.ToLower(sum)} {
		var m memory
		list := []wire.Download{{URL: server.URL, Path: "f", SHA256: good}}
		if err := i.Run(t.Context(), list, 100, m.put, nothing); err != nil || m.files["f"] != "hello" {
			t.Errorf("with %q: %q, %v", good, m.files["f"], err)
		}
	}
	calls.Store(0)
	var m memory
	list := []wire.Download{{URL: server.URL, Path: "f", SHA256: strings.Repeat("0", 64)}}
	refused(t, i.Run(t.Context(), list, 100, m.put, nothing), problem.Conflict, strings.ToLower(sum))
	if len(m.files) != 0 || calls.Load() != 1 {
		t.Errorf("it is kept (%q), or asked for %d times", m.files, calls.Load())
	}
}
