package transfer

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func (n *node) list(q wire.FileQuery) (wire.FilePage, []string) {
	n.t.Helper()
	var page wire.FilePage
	n.json("POST", "list", q).good(n.t, &page)
	names := make([]string, 0, len(page.Entries))
	for _, e := range page.Entries {
		names = append(names, string(e.Path))
	}
	return page, names
}

func TestList(t *testing.T) {
	t.Parallel()
	n := setup(t)
	for name, size := range map[string]int{"b": 3, "a": 2, "c": 1, "\xff": 4, "x/inner": 5, "y/z": 0} {
		n.plant(name, strings.Repeat("x", size))
	}
	must(t, os.Symlink("/etc/passwd", filepath.Join(n.data, "link")))
	must(t, syscall.Mkfifo(filepath.Join(n.data, "pipe"), 0o644))
	for _, tt := range []struct {
		query wire.FileQuery
		want  []string
	}{
		{wire.FileQuery{Path: ".", Page: 1, Limit: 100}, []string{"x", "y", "a", "b", "c", "link", "pipe", "\xff"}},
		{wire.FileQuery{Path: ".", Page: 1, Limit: 100, Down: true}, []string{"x", "y", "\xff", "pipe", "link", "c", "b", "a"}},
		{wire.FileQuery{Path: ".", Page: 2, Limit: 3}, []string{"b", "c", "link"}},
		{wire.FileQuery{Path: ".", Page: 3, Limit: 3}, []string{"pipe", "\xff"}},
		{wire.FileQuery{Path: ".", Page: 4, Limit: 3}, []string{}},
		{wire.FileQuery{Path: ".", Page: 1 << 60, Limit: 1000}, []string{}},
		{wire.FileQuery{Path: ".", Page: 1, Limit: 6, Sort: wire.SortSize}, []string{"x", "y", "link", "pipe", "c", "a"}},
		{wire.FileQuery{Path: "x", Page: 1, Limit: 3}, []string{"x/inner"}},
	} {
		page, got := n.list(tt.query)
		want := tt.want
		if tt.query.Down { // folders come first in each order
			slices.Sort(got[:2])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v gives %q, want %q", tt.query, got, want)
		}
		if tt.query.Path == "." && page.Total != 8 {
			t.Errorf("%d in all", page.Total)
		}
	}
	page, _ := n.list(wire.FileQuery{Path: ".", Page: 1, Limit: 100})
	for _, e := range page.Entries {
		want := map[wire.Path]wire.EntryKind{"x": wire.EntryDir, "y": wire.EntryDir, "link": wire.EntryLink, "pipe": wire.EntryOther}[e.Path]
		if want == "" {
			want = wire.EntryFile
		}
		if e.Kind != want || (e.ETag != "") != (want == wire.EntryFile) || (e.Target == "/etc/passwd") != (want == wire.EntryLink) {
			t.Errorf("%+v", e)
		}
	}
	for _, bad := range []wire.FileQuery{{Path: ".", Page: 0, Limit: 1}, {Path: ".", Page: 1}, {Path: ".", Page: 1, Limit: 1001}, {Path: ".", Page: 1, Limit: 1, Sort: "colour"}} {
		n.json("POST", "list", bad).bad(t, problem.Validation)
	}
	n.json("POST", "list", wire.FileQuery{Path: "nothing", Page: 1, Limit: 1}).bad(t, problem.NotFound)
	n.json("POST", "list", wire.FileQuery{Path: "a", Page: 1, Limit: 1}).bad(t, problem.Conflict)
	n.do("POST", "list", strings.NewReader("{")).bad(t, problem.BadRequest)
	n.do("GET", "list", nil).bad(t, problem.MethodNotAllowed)
	n.do("GET", "nothing", nil).bad(t, problem.NotFound)
	n.do("GET", "tasks/../../x", nil).bad(t, problem.NotFound)
}

func TestRead(t *testing.T) {
	t.Parallel()
	n := setup(t)
	n.plant("f", "0123456789")
	var entry wire.FileEntry
	n.do("GET", "entry?"+at("f"), nil).good(t, &entry)
	whole := n.do("GET", "content?"+at("f"), nil).good(t, nil)
	tag := `"` + entry.ETag + `"`
	if string(whole.body) != "0123456789" || whole.header.Get("ETag") != tag || whole.header.Get("Accept-Ranges") != "bytes" || whole.header.Get("Last-Modified") == "" {
		t.Errorf("%s, %v", whole.body, whole.header)
	}
	for _, tt := range []struct {
		header []string
		status int
		body   string
	}{
		{[]string{"Range", "bytes=2-4"}, 206, "234"},
		{[]string{"Range", "bytes=-3"}, 206, "789"},
		{[]string{"Range", "bytes=8-100"}, 206, "89"},
		{[]string{"Range", "bytes=2-4", "If-Range", tag}, 206, "234"},
		{[]string{"Range", "bytes=2-4", "If-Range", `"other"`}, 200, "0123456789"},
		{[]string{"If-None-Match", tag}, 304, ""},
		{[]string{"If-None-Match", `"other"`}, 200, "0123456789"},
	} {
		r := n.do("GET", "content?"+at("f"), nil, tt.header...)
		if r.status != tt.status || string(r.body) != tt.body {
			t.Errorf("%v: %d %s", tt.header, r.status, r.body)
		}
	}
	if r := n.do("GET", "content?"+at("f"), nil, "Range", "bytes=20-"); r.status != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a range behind the end: %d", r.status)
	}
	if r := n.do("HEAD", "content?"+at("f"), nil); r.status != 200 || r.header.Get("Content-Length") != "10" || len(r.body) != 0 {
		t.Errorf("HEAD: %+v", r)
	}
	n.do("GET", "content?"+at("none"), nil).bad(t, problem.NotFound)
	n.do("GET", "content?path=%25zz", nil).bad(t, problem.Validation)
}

func TestWrite(t *testing.T) {
	t.Parallel()
	n := setup(t)
	if os.Geteuid() == 0 {
		must(t, os.Chown(n.data, 1234, 2345))
	}
	made := n.put("new/folder/f", "one")
	if made.Mode != 0o644 || made.Size != 3 || made.Path != "new/folder/f" || n.get("new/folder/f") != "one" {
		t.Errorf("%+v", made)
	}
	if os.Geteuid() == 0 {
		for _, path := range []string{"new", "new/folder", "new/folder/f"} {
			info, err := os.Stat(filepath.Join(n.data, path))
			must(t, err)
			if st := info.Sys().(*syscall.Stat_t); st.Uid != 1234 || st.Gid != 2345 {
				t.Errorf("%s belongs to %d:%d", path, st.Uid, st.Gid)
			}
		}
	}
	write := func(content, match string) reply {
		return n.do("PUT", "content?"+at("new/folder/f")+"&match="+match, strings.NewReader(content))
	}
	write("x", "-").bad(t, problem.Conflict)
	write("x", "1-2-3-4").bad(t, problem.Conflict)
	var second wire.FileEntry
	write("two", made.ETag).good(t, &second)
	write("three", made.ETag).bad(t, problem.Conflict)
	write("three", "%22"+second.ETag+"%22").good(t, nil)
	write("four", "*").good(t, nil)
	n.do("PUT", "content?"+at("other")+"&match=*", strings.NewReader("x")).bad(t, problem.Conflict)
	must(t, os.Chmod(filepath.Join(n.data, "new/folder/f"), 0o4750|os.ModeSetuid))
	if e := n.put("new/folder/f", "five"); e.Mode != 0o750 {
		t.Errorf("%+v", e)
	}
	if info, err := os.Stat(filepath.Join(n.data, "new/folder/f")); err != nil || info.Mode() != 0o750 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	n.do("PUT", "content?"+at("new"), strings.NewReader("x")).bad(t, problem.Conflict)
	n.do("PUT", "content?"+at("new/folder/f/g"), strings.NewReader("x")).bad(t, problem.Conflict)
	n.do("PUT", "content?"+at("large"), strings.NewReader(strings.Repeat("x", wire.FileEditMax+1))).bad(t, problem.TooLarge)
	n.do("PUT", "content?"+at("large"), struct{ *strings.Reader }{strings.NewReader(strings.Repeat("x", wire.FileEditMax+1))}).bad(t, problem.TooLarge)
	n.do("PUT", "content?"+at("largest"), strings.NewReader(strings.Repeat("x", wire.FileEditMax))).good(t, nil)
	n.noParts()
	n.forbid(problem.New(problem.Conflict, "it is being moved"))
	write("six", "").bad(t, problem.Conflict)
}

func TestOfTwoEditorsOneWins(t *testing.T) {
	t.Parallel()
	n := setup(t)
	for round := range 10 {
		before := n.put("f", fmt.Sprint("before ", round))
		var won atomic.Int32
		var winner atomic.Value
		var editors sync.WaitGroup
		for editor := range 8 {
			editors.Go(func() {
				text := fmt.Sprint("editor ", editor)
				r := n.do("PUT", "content?"+at("f")+"&match="+before.ETag, strings.NewReader(text))
				if r.status == 200 {
					won.Add(1)
					winner.Store(text)
				} else if r.status != problem.Conflict.Status() {
					t.Errorf("%d %s %v", r.status, r.body, r.err)
				}
			})
		}
		editors.Wait()
		if won.Load() != 1 || n.get("f") != winner.Load() {
			t.Fatalf("%d won, and the file is %q", won.Load(), n.get("f"))
		}
	}
	n.noParts()
}

func TestRenameFolderChmod(t *testing.T) {
	t.Parallel()
	n := setup(t)
	n.plant("a", "a")
	n.plant("b", "b")
	n.plant("dir/x", "x")
	var e wire.FileEntry
	n.json("POST", "folder", wire.FileFolder{Path: "p/q/r"}).good(t, &e)
	n.json("POST", "folder", wire.FileFolder{Path: "p/q/r"}).good(t, &e)
	if e.Kind != wire.EntryDir || e.Mode != 0o755 {
		t.Errorf("%+v", e)
	}
	n.json("POST", "folder", wire.FileFolder{Path: "a/q"}).bad(t, problem.Conflict)
	rename := func(overwrite bool, pairs ...wire.Path) wire.FileDone {
		var body wire.FileRenames
		body.Overwrite = overwrite
		for i := 0; i < len(pairs); i += 2 {
			body.Renames = append(body.Renames, wire.FileRename{From: pairs[i], To: pairs[i+1]})
		}
		var done wire.FileDone
		n.json("POST", "rename", body).good(t, &done)
		return done
	}
	done := rename(false, "a", "b", "a", "c", "none", "d", "dir", "dir/y", "p", "dir/p", "c", "gone/c")
	codes := make([]string, 0, len(done.Failed))
	for _, f := range done.Failed {
		codes = append(codes, string(f.Path)+" "+string(f.Problem.Code))
	}
	if want := []string{"a CONFLICT", "none NOT_FOUND", "dir VALIDATION_ERROR", "c NOT_FOUND"}; done.Count != 2 || !slices.Equal(codes, want) {
		t.Errorf("%d done, failed %q", done.Count, codes)
	}
	if done := rename(true, "c", "b", "b", "dir"); done.Count != 1 || done.Failed[0].Problem.Code != problem.Conflict {
		t.Errorf("%+v", done)
	}
	var chmod wire.FileDone
	n.json("POST", "chmod", wire.FileChmod{Paths: []wire.Path{"b", "dir", "none"}, Mode: 0o700}).good(t, &chmod)
	n.json("POST", "chmod", wire.FileChmod{Paths: []wire.Path{"b"}, Mode: 0o4755}).bad(t, problem.Validation)
	if info, err := os.Stat(filepath.Join(n.data, "b")); err != nil || info.Mode() != 0o700 || chmod.Count != 2 {
		t.Errorf("%v, %+v", info.Mode(), chmod)
	}
	same(t, tree(t, n.data), map[string]string{"b": "a", "dir": "dir", "dir/x": "x", "dir/p": "dir", "dir/p/q": "dir", "dir/p/q/r": "dir"})
}
