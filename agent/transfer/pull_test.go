package transfer

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/berth-panel/berth/shared/guard"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func (n *node) serve(h http.HandlerFunc) string {
	n.t.Helper()
	s := httptest.NewServer(h)
	n.t.Cleanup(s.Close)
	return s.URL
}

func TestPull(t *testing.T) {
	t.Parallel()
	n := setup(t)
	body := strings.Repeat("content ", 100_000)
	url := n.serve(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/hop":
			http.Redirect(w, r, "/named?secret=hunter2", http.StatusFound)
		case "/named":
			w.Header().Set("Content-Disposition", `attachment; filename="../../etc/cron.d/x y.jar"`)
			_, _ = w.Write([]byte(body))
		case "/file.bin":
			_, _ = w.Write([]byte(body))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	pull := func(from string, to wire.Path, over bool) wire.FileTask {
		return wire.FileTask{Pull: &wire.FilePull{URL: url + from, To: to, Over: over}}
	}
	n.works(pull("/hop", "./", false))
	n.works(pull("/file.bin", "mods/", false))
	state := n.works(pull("/file.bin", "as.jar", false))
	if state.Bytes != int64(len(body)) || state.Files != 1 || strings.Contains(state.Message, "hunter2") {
		t.Errorf("%+v", state)
	}
	same(t, tree(t, n.data), map[string]string{"x y.jar": body, "mods": "dir", "mods/file.bin": body, "as.jar": body})
	n.fails(pull("/file.bin", "as.jar", false), problem.Conflict)
	n.works(pull("/file.bin", "as.jar", true))
	n.fails(pull("/none", "as2.jar", false), problem.Validation)
	for _, bad := range []wire.FilePull{{URL: "file:///etc/passwd", To: "f"}, {URL: "ftp://x/y", To: "f"}, {URL: "http://", To: "f"}, {URL: ":", To: "f"}, {URL: url, To: "."}, {URL: url, To: "/"}, {URL: url, To: "a//"}, {URL: url, To: "../"}} {
		n.json("PUT", "tasks/"+uuid.NewString(), wire.FileTask{Pull: &bad}).bad(t, problem.Validation)
	}
	n.noParts()
}

func TestPullGoesNowhereInside(t *testing.T) {
	t.Parallel()
	n := setup(t)
	reached := n.serve(func(http.ResponseWriter, *http.Request) { t.Error("the guard let it through") })
	port := reached[strings.LastIndex(reached, ":"):]
	n.store.client = guard.Client(nil)
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "[::1]"} {
		if s := n.task(wire.FileTask{Pull: &wire.FilePull{URL: "http://" + host + port + "/x", To: "f"}}); s.Failure == nil {
			t.Errorf("%s was reached", host)
		}
	}
	// A redirect from what is allowed to what isn't: another address of this machine.
	n.store.client = guard.Client([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")})
	hop := n.serve(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.2"+port+"/latest/meta-data", http.StatusFound)
	})
	s := n.task(wire.FileTask{Pull: &wire.FilePull{URL: hop + "/x", To: "f"}})
	if s.Failure == nil || s.Failure.Code != problem.Forbidden || s.Failure.Message != "127.0.0.2"+port+" is not on the public internet" {
		t.Errorf("behind a redirect: %+v", s.Failure)
	}
	loop := n.serve(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) })
	n.fails(wire.FileTask{Pull: &wire.FilePull{URL: loop, To: "f"}}, problem.Validation)
	scheme := n.serve(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	if s := n.task(wire.FileTask{Pull: &wire.FilePull{URL: scheme, To: "f"}}); s.Failure == nil {
		t.Error("a redirect to a file was followed")
	}
	if got := tree(t, n.data); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestPullIsBounded(t *testing.T) {
	t.Parallel()
	n := setup(t)
	limit := int64(1 << 20)
	n.limit = &limit
	claims := n.serve(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", fmt.Sprint(2<<20)) })
	n.fails(wire.FileTask{Pull: &wire.FilePull{URL: claims, To: "f"}}, problem.InsufficientResources)
	endless := n.serve(func(w http.ResponseWriter, _ *http.Request) {
		for piece := make([]byte, 64<<10); ; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	n.fails(wire.FileTask{Pull: &wire.FilePull{URL: endless, To: "f"}}, problem.InsufficientResources)
	silent := n.serve(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("x"))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	n.store.stall = 10 * time.Millisecond
	n.fails(wire.FileTask{Pull: &wire.FilePull{URL: silent, To: "f"}}, problem.ResourceBusy)
	n.store.stall = time.Hour
	id := uuid.NewString()
	n.json("PUT", "tasks/"+id, wire.FileTask{Pull: &wire.FilePull{URL: silent, To: "f"}}).good(t, nil)
	var state wire.FileTaskState
	until(t, "the first byte", func() bool {
		n.json("GET", "tasks/"+id, nil).good(t, &state)
		return state.Bytes > 0 || state.Done
	})
	n.json("DELETE", "tasks/"+id, nil)
	if state := n.ended(id); state.Failure == nil || state.Failure.Message != errCancelled.Message {
		t.Errorf("%+v", state)
	}
	n.noParts()
}

func TestHarmless(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a.jar": "a.jar", "../../etc/passwd": "passwd", `C:\x\y.zip`: "y.zip", "..": "", ".": "", "": "", "a/": "", "a\x00b\r\nc": "abc", " x ": "x",
		"\u202Egpj.exe": "gpj.exe", "\xff": "_", strings.Repeat("é", 200): strings.Repeat("é", 127),
	} {
		if got := harmless(text); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
}
