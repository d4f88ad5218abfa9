package file_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

type entryView struct {
	Path, Name, Kind, Mode, ETag string
	Size                         int64
}

func TestShortVerbs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.volume.do(func() {
		b.volume.files["a.txt"] = []byte("hello")
		b.volume.files["odd \xff%.txt"] = []byte("x")
	})
	var list []entryView
	a := b.call(b.read, "GET", "?limit=1&page=2", nil).is(200, &list)
	if len(list) != 1 || list[0].Path != "odd %ff%25.txt" || !strings.Contains(string(a.body), `"total":2`) {
		t.Errorf("%s", a.body)
	}
	if strings.Contains(string(a.body), "message") {
		t.Errorf("%s", a.body)
	}
	b.volume.do(func() { b.volume.cut = true })
	if a = b.call(b.read, "GET", "", nil).is(200, nil); !strings.Contains(string(a.body), `"message":"the folder holds more than the 2 entries`) {
		t.Errorf("%s", a.body)
	}
	var e entryView
	b.call(b.read, "GET", "/entry?path="+escaped("odd %ff%25.txt"), nil).is(200, &e)
	if e.Mode != "0644" || e.Size != 1 || len(e.ETag) != 18 {
		t.Errorf("%+v", e)
	}
	b.call(b.key, "POST", "/folder", map[string]any{"path": "config/new"}).is(201, &e)
	if e.Kind != "dir" || e.Name != "new" {
		t.Errorf("%+v", e)
	}
	b.call(b.key, "POST", "/rename", map[string]any{"renames": []any{map[string]any{"from": "a.txt", "to": "b.txt"}}}).is(200, nil)
	b.call(b.key, "POST", "/rename", map[string]any{"renames": []any{map[string]any{"from": "a.txt", "to": "c.txt"}}}).refused(404, "NOT_FOUND")
	var done struct {
		Count  int
		Failed []struct{ Path, Code string }
	}
	b.call(b.key, "POST", "/rename", map[string]any{"renames": []any{map[string]any{"from": "gone", "to": "c"}, map[string]any{"from": "b.txt", "to": "d.txt"}}}).is(200, &done)
	if done.Count != 1 || len(done.Failed) != 1 || done.Failed[0].Code != "NOT_FOUND" {
		t.Errorf("%+v", done)
	}
	b.call(b.key, "POST", "/chmod", map[string]any{"paths": []string{"d.txt"}, "mode": "755"}).is(200, nil)
	var found struct {
		Hits []struct {
			Path, Text string
			Line       int
		}
		Cut    bool
		Passed int
	}
	b.call(b.read, "POST", "/search", map[string]any{"content": "line", "limit": 1}).is(200, &found)
	if len(found.Hits) != 1 || !found.Cut || found.Passed != 2 || found.Hits[0].Line != 3 {
		t.Errorf("%+v", found)
	}
	want := []string{
		`file.folder_made {"path":"config/new"} by owner`,
		`file.renamed {"path":"a.txt","to":"b.txt"} by owner`,
		`file.renamed {"count":1,"failed":1,"renames":[{"path":"gone","to":"c"},{"path":"b.txt","to":"d.txt"}]} by owner`,
		`file.mode_set {"mode":"0755","path":"d.txt"} by owner`,
	}
	if got := b.facts(); !slices.Equal(got, want) {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}

// Who may not is refused before the agent hears of it, and nothing is left.
func TestRights(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.volume.do(func() { b.volume.files["a"] = []byte("hello") })
	before := b.rows()
	reads := [][2]string{{"GET", ""}, {"GET", "/entry?path=a"}, {"GET", "/content?path=a"}, {"GET", "/bundle"}}
	writes := [][2]string{{"POST", "/folder"}, {"POST", "/delete"}, {"PUT", "/content?path=a"}, {"POST", "/uploads"}}
	bodies := map[string]any{"/folder": map[string]any{"path": "x"}, "/delete": map[string]any{"paths": []string{"a"}}, "/content?path=a": "x"}
	tus := []string{"Tus-Resumable", "1.0.0", "Upload-Length", "3", "Upload-Metadata", "filename eA=="}
	for _, c := range append(reads, writes...) {
		b.call("", c[0], c[1], bodies[c[1]], tus...).refused(401, "UNAUTHORIZED")
		b.call(b.other, c[0], c[1], bodies[c[1]], tus...).refused(404, "NOT_FOUND")
	}
	for _, c := range writes {
		b.call(b.read, c[0], c[1], bodies[c[1]], tus...).refused(403, "FORBIDDEN")
	}
	b.write(`UPDATE instances SET suspended = 1 WHERE id = ?`, string(b.id))
	for _, c := range append(reads, writes...) {
		b.call(b.key, c[0], c[1], bodies[c[1]], tus...).refused(409, "CONFLICT")
	}
	if after := b.rows(); after != before {
		t.Errorf("left behind: %v, before %v", after, before)
	}
	if len(b.volume.calls) != 0 {
		t.Errorf("the agent heard of it: %v", b.volume.calls)
	}
	b.call(b.admin, "GET", "", nil).is(200, nil)
}

// Every place that takes a path refuses those that lead elsewhere, and names it.
func TestHostilePaths(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.rows()
	hostile := []string{"../etc/passwd", "a/../../b", "/etc/passwd", "a//b", "a/", "a/.", "a%00b", "%zz", "%C3", "%", strings.Repeat("a", 256), strings.Repeat("a/", 2500) + "a", ".."}
	places := map[string]func(p string) answer{
		"path":    func(p string) answer { return b.call(b.key, "GET", "/content?path="+escaped(p), nil) },
		"path ":   func(p string) answer { return b.call(b.key, "GET", "?path="+escaped(p), nil) },
		"path  ":  func(p string) answer { return b.call(b.key, "PUT", "/content?path="+escaped(p), "x") },
		"path   ": func(p string) answer { return b.call(b.key, "GET", "/bundle?path="+escaped(p), nil) },
		"paths[1]": func(p string) answer {
			return b.call(b.key, "POST", "/delete", map[string]any{"paths": []string{"ok", p}})
		},
		"renames[0].to": func(p string) answer {
			return b.call(b.key, "POST", "/rename", map[string]any{"renames": []any{map[string]any{"from": "a", "to": p}}})
		},
		"to": func(p string) answer {
			return b.call(b.key, "POST", "/copy", map[string]any{"paths": []string{"a"}, "to": p})
		},
		"to ": func(p string) answer {
			return b.call(b.key, "POST", "/archive", map[string]any{"paths": []string{"a"}, "format": "zip", "to": p})
		},
		"path    ": func(p string) answer { return b.call(b.key, "POST", "/ticket", map[string]any{"path": p}) },
		"bundle.paths[0]": func(p string) answer {
			return b.call(b.key, "POST", "/ticket", map[string]any{"bundle": map[string]any{"paths": []string{p}, "format": "zip"}})
		},
	}
	for field, call := range places {
		for _, p := range hostile {
			_, fields := call(p).refused(422, "VALIDATION_ERROR")
			if !slices.Equal(fields, []string{strings.TrimSpace(field)}) {
				t.Errorf("%s %.40q: fields %v", field, p, fields)
			}
		}
	}
	for _, p := range []string{"", "."} { // the volume itself
		b.call(b.key, "PUT", "/content?path="+p, "x").refused(422, "VALIDATION_ERROR")
		b.call(b.key, "POST", "/delete", map[string]any{"paths": []string{p}}).refused(422, "VALIDATION_ERROR")
	}
	b.call(b.key, "POST", "/ticket", map[string]any{"bundle": map[string]any{"folder": "x", "paths": []string{"y/z"}, "format": "zip"}}).refused(422, "VALIDATION_ERROR")
	b.call(b.key, "POST", "/pull", map[string]any{"url": "file:///etc/passwd", "to": "x"}).refused(422, "VALIDATION_ERROR")
	b.call(b.key, "POST", "/chmod", map[string]any{"paths": []string{"x"}, "mode": "4755"}).refused(422, "VALIDATION_ERROR")
	if after := b.rows(); after != before || len(b.volume.calls) != 0 {
		t.Errorf("left behind: %v, before %v; the agent heard %v", after, before, b.volume.calls)
	}
}

// A node that is away is said at once; what the agent refuses reaches the client
// as it is.
func TestAgentsWords(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.volume.do(func() {
		b.volume.refuse = func(r *http.Request) *problem.Problem {
			return problem.New(problem.InsufficientResources, "the disk of this instance is full (512 MiB)")
		}
	})
	message, _ := b.call(b.key, "PUT", "/content?path=a", strings.Repeat("x", 1<<20)).refused(507, "INSUFFICIENT_RESOURCES")
	if message != "the disk of this instance is full (512 MiB)" {
		t.Error(message)
	}
	b.call(b.key, "POST", "/folder", map[string]any{"path": "a"}).refused(507, "INSUFFICIENT_RESOURCES")
	b.call(b.key, "POST", "/uploads", nil, "Tus-Resumable", "1.0.0", "Upload-Length", "3", "Upload-Metadata", "filename eA==").refused(507, "INSUFFICIENT_RESOURCES")
	if left := b.rows()[0]; left != 0 {
		t.Errorf("%d uploads are left", left)
	}
	b.agent.Stop()
	eventually(t, "the node is away", func() bool { return !b.fleet.Online(b.node) })
	for _, c := range [][2]string{{"GET", ""}, {"GET", "/content?path=a"}, {"PUT", "/content?path=a"}, {"GET", "/bundle"}} {
		b.call(b.key, c[0], c[1], nil).refused(503, "NODE_OFFLINE")
	}
	if facts := b.facts(); len(facts) != 0 {
		t.Errorf("%v", facts)
	}
}

// A thousand paths are one call and one event.
func TestManyPathsLeaveOneEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var pairs []any
	for n := range wire.FilesAtOnce {
		from := wire.Path(fmt.Sprintf("f%d", n))
		b.volume.do(func() { b.volume.files[from] = nil })
		pairs = append(pairs, map[string]any{"from": from, "to": "moved-" + from})
	}
	b.call(b.key, "POST", "/rename", map[string]any{"renames": pairs}).is(200, nil)
	facts := b.facts()
	if len(facts) != 1 || !strings.Contains(facts[0], `"count":1000`) || strings.Count(facts[0], `"to"`) != 20 {
		t.Errorf("%v", facts)
	}
}
