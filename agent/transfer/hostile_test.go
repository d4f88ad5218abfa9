package transfer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// attempt is a verb used on a path.
type attempt struct {
	name string
	try  func(n *node, path string) reply // path in its text form
	task bool                             // what it begins goes on behind the answer
}

// raw is a path as text in a JSON body, which needn't be a valid one.
func raw(path string) json.RawMessage {
	text, _ := json.Marshal(path)
	return text
}

func (n *node) rawTask(body string) reply {
	return n.do("PUT", "tasks/"+uuid.NewString(), strings.NewReader(body))
}

// attempts are all verbs, in each place where a path is taken.
func attempts() []attempt {
	post := func(name, call, body string) attempt {
		return attempt{name: name, try: func(n *node, path string) reply {
			return n.do("POST", call, strings.NewReader(strings.ReplaceAll(body, "PATH", string(raw(path)))))
		}}
	}
	task := func(name, body string) attempt {
		return attempt{name: name, task: true, try: func(n *node, path string) reply {
			return n.rawTask(strings.ReplaceAll(body, "PATH", string(raw(path))))
		}}
	}
	query := func(method string) attempt {
		return attempt{name: method + " content", try: func(n *node, path string) reply {
			return n.do(method, "content?path="+url.QueryEscape(path), bytes.NewReader(nil))
		}}
	}
	return []attempt{
		post("list", "list", `{"path":PATH,"page":1,"limit":10}`),
		{name: "entry", try: func(n *node, path string) reply { return n.do("GET", "entry?path="+url.QueryEscape(path), nil) }},
		query("GET"), query("PUT"),
		post("folder", "folder", `{"path":PATH}`),
		post("rename from", "rename", `{"renames":[{"from":PATH,"to":"x"}]}`),
		post("rename to", "rename", `{"renames":[{"from":"plain","to":PATH}]}`),
		post("chmod", "chmod", `{"paths":[PATH],"mode":511}`),
		post("search", "search", `{"path":PATH,"name":"x","limit":1}`),
		post("bundle of", "bundle", `{"folder":".","paths":[PATH],"format":"tar"}`),
		post("bundle in", "bundle", `{"folder":PATH,"paths":[],"format":"zip"}`),
		{name: "upload", try: func(n *node, path string) reply {
			return n.do("PUT", "uploads/"+uuid.NewString(), strings.NewReader(`{"path":`+string(raw(path))+`,"size":3,"overwrite":true}`))
		}},
		task("delete", `{"delete":{"paths":[PATH]}}`),
		task("copy from", `{"copy":{"paths":[PATH],"to":"."}}`),
		task("copy to", `{"copy":{"paths":["plain"],"to":PATH}}`),
		task("archive", `{"archive":{"folder":".","paths":[PATH],"format":"zip","to":"x.zip"}}`),
		task("archive to", `{"archive":{"folder":".","paths":["plain"],"format":"zip","to":PATH}}`),
		task("extract", `{"extract":{"path":PATH,"to":"."}}`),
		task("extract to", `{"extract":{"path":"plain","to":PATH}}`),
		task("pull", `{"pull":{"url":"http://127.0.0.1:1/x","to":PATH}}`),
	}
}

func TestHostilePathsAreRefusedByEachVerb(t *testing.T) {
	t.Parallel()
	n := setup(t)
	n.plant("plain", "plain")
	before := tree(t, n.data)
	for _, path := range []string{
		"", "..", "../x", "a/../../x", "a/..", "/etc/passwd", "/", "//", "a//b", "./a", "a/.", "a/./b", "a\x00b", "%00", "a%2f..%2f..%2fx", "%2e%2e/x",
		strings.Repeat("a/", 2500) + "a", strings.Repeat("a", 256), "%", "%4", "%ZZ", "%2E",
	} {
		for _, a := range attempts() {
			r := a.try(n, path)
			var p problem.Problem
			if path == "%2E" { // the root itself, spelled otherwise
				continue
			}
			if err := json.Unmarshal(r.body, &p); err != nil || p.Code != problem.Validation && p.Code != problem.BadRequest {
				t.Errorf("%s of %.60q: %d, %.300s, %v", a.name, path, r.status, r.body, r.err)
			}
		}
	}
	for _, a := range attempts() { // the root: looked at only
		r := a.try(n, ".")
		switch a.name {
		case "list", "entry", "search", "bundle in", "copy to", "extract to":
			if r.status/100 != 2 {
				t.Errorf("%s of the root: %d %s", a.name, r.status, r.body)
			}
		default:
			if r.status != problem.Validation.Status() {
				t.Errorf("%s of the root: %d %s", a.name, r.status, r.body)
			}
		}
	}
	n.store.Cut(one, errCancelled) // the tasks that were begun, which all fail or copy
	got := tree(t, n.data)
	delete(got, "plain (2)")
	same(t, got, before)
}

// outcome is what became of an attempt, a task awaited.
func (n *node) outcome(r reply, id string) string {
	n.t.Helper()
	var p problem.Problem
	if r.status/100 != 2 {
		_ = json.Unmarshal(r.body, &p)
		return string(p.Code)
	}
	var done wire.FileDone
	if json.Unmarshal(r.body, &done) == nil && len(done.Failed) > 0 {
		return string(done.Failed[0].Problem.Code)
	}
	if id != "" {
		if state := n.ended(id); state.Failure != nil {
			return string(state.Failure.Code)
		}
	}
	return "ok"
}

// oddities plants what is no plain file: all of it leads outside or blocks.
func (n *node) oddities() []string {
	n.t.Helper()
	odd := filepath.Join(n.data, "odd")
	must(n.t, os.Mkdir(odd, 0o755))
	must(n.t, os.Symlink(filepath.Join(n.outside, "precious"), filepath.Join(odd, "link")))
	must(n.t, os.Symlink(n.outside, filepath.Join(odd, "linkdir")))
	must(n.t, os.Symlink("../../../../../../../../../../../../etc", filepath.Join(odd, "up")))
	must(n.t, os.Symlink("loop", filepath.Join(odd, "loop")))
	must(n.t, syscall.Mkfifo(filepath.Join(odd, "pipe"), 0o644))
	must(n.t, syscall.Mknod(filepath.Join(odd, "s"), syscall.S_IFSOCK|0o644, 0))
	names := []string{"odd/link", "odd/linkdir", "odd/up", "odd/loop", "odd/pipe", "odd/s", "odd/linkdir/precious", "odd/linkdir/folder", "odd/up/passwd"}
	if syscall.Mknod(filepath.Join(odd, "null"), syscall.S_IFCHR|0o666, 1<<8|3) == nil {
		names = append(names, "odd/null")
	}
	return names
}

func TestOddEntriesAreNeverOpened(t *testing.T) {
	t.Parallel()
	n := setup(t)
	n.plant("plain", "plain")
	shownOnly := map[string]bool{"entry": true, "bundle of": true}
	for _, path := range n.oddities() {
		through := strings.Count(path, "/") == 2
		for _, a := range attempts() {
			if a.task || a.name == "rename from" || a.name == "upload" {
				continue // what takes them away comes below
			}
			r := a.try(n, path)
			ok := shownOnly[a.name] && !through
			switch {
			case strings.HasPrefix(a.name, "bundle"), a.name == "GET content", a.name == "PUT content", a.name == "list", a.name == "search", a.name == "folder", a.name == "entry":
				if (r.status/100 == 2) != ok || r.status == 500 {
					t.Errorf("%s of %s: %d %.200s", a.name, path, r.status, r.body)
				}
			case a.name == "chmod" || strings.HasPrefix(a.name, "rename"):
				if got := n.outcome(r, ""); got == "ok" || got == string(problem.Internal) {
					t.Errorf("%s of %s: %s", a.name, path, got)
				}
			}
			if string(r.body) == "precious" {
				t.Errorf("%s of %s shows what is outside", a.name, path)
			}
		}
		n.verbsOnOdd(path, through)
	}
	if got := tree(t, n.data); got["plain"] != "plain" {
		t.Errorf("%v", got)
	}
	n.works(wire.FileTask{Delete: &wire.FileDelete{Paths: []wire.Path{"odd/linkdir", "odd/up"}}})
	if entries, err := os.ReadDir(filepath.Join(n.data, "odd")); err != nil || len(entries) != 0 {
		t.Errorf("left: %v", entries)
	}
}

// verbsOnOdd are those whose end counts: tasks, uploads, and what takes it away.
func (n *node) verbsOnOdd(path string, through bool) {
	t, p := n.t, wire.Path(path)
	t.Helper()
	id := uuid.NewString()
	if state := n.task(wire.FileTask{Extract: &wire.FileExtract{Path: p, To: "."}}); state.Failure == nil {
		t.Errorf("%s was unpacked", path)
	}
	if state := n.task(wire.FileTask{Extract: &wire.FileExtract{Path: "plain", To: p}}); state.Failure == nil {
		t.Errorf("something was unpacked to %s", path)
	}
	if state := n.task(wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{"plain"}, To: p}}); state.Failure == nil {
		t.Errorf("something was copied to %s", path)
	}
	if state := n.task(wire.FileTask{Archive: &wire.FileArchive{FileBundle: wire.FileBundle{Folder: ".", Paths: []wire.Path{"plain"}, Format: wire.ArchiveTar}, To: p}}); state.Failure == nil {
		t.Errorf("something was packed to %s", path)
	}
	if r := n.json("PUT", "uploads/"+id, wire.FileUpload{Path: p, Size: 0, Overwrite: true}); r.status/100 == 2 {
		if r := n.json("POST", "uploads/"+id, nil); r.status/100 == 2 {
			t.Errorf("something was uploaded to %s: %s", path, r.body)
		}
		n.json("DELETE", "uploads/"+id, nil)
	}
	if through {
		if got := n.outcome(n.json("POST", "rename", wire.FileRenames{Renames: []wire.FileRename{{From: p, To: "taken"}}}), ""); got == "ok" {
			t.Errorf("%s was moved", path)
		}
		if got := n.outcome(n.json("POST", "rename", wire.FileRenames{Renames: []wire.FileRename{{From: "plain", To: p + "2"}}}), ""); got == "ok" {
			t.Errorf("something was moved to %s", path)
		}
		_ = n.task(wire.FileTask{Delete: &wire.FileDelete{Paths: []wire.Path{p}}})
		return
	}
	if strings.HasPrefix(path, "odd/l") || strings.HasPrefix(path, "odd/up") { // what leads through it comes last
		state := n.works(wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{p}, To: "copies"}})
		if state.Files != 1 {
			t.Errorf("%+v", state)
		}
		if to, err := os.Readlink(filepath.Join(n.data, "copies", filepath.Base(path))); err != nil || to == "" {
			t.Errorf("the copy of %s: %v", path, err)
		}
	}
	if info, err := os.Lstat(filepath.Join(n.data, path)); err != nil || info.Mode()&os.ModeSymlink == 0 {
		n.fails(wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{p}, To: "copies"}}, problem.Validation)
	}
	aside := wire.Path("aside")
	if got := n.outcome(n.json("POST", "rename", wire.FileRenames{Renames: []wire.FileRename{{From: p, To: aside}}}), ""); got != "ok" {
		t.Errorf("%s can't be moved: %s", path, got)
	}
	if path == "odd/linkdir" || path == "odd/up" {
		must(t, os.Rename(filepath.Join(n.data, "aside"), filepath.Join(n.data, path))) // for those that lead through it
		return
	}
	n.works(wire.FileTask{Delete: &wire.FileDelete{Paths: []wire.Path{aside}}})
}

// TestLinksPlantedMeanwhile has a container swap what each verb works on, all the
// time, for links that lead outside. setup checks that nothing there was touched.
func TestLinksPlantedMeanwhile(t *testing.T) {
	t.Parallel()
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("bad")) }))
	t.Cleanup(bad.Close)
	verbs := map[string]func(n *node, round int){
		"list":  func(n *node, _ int) { n.json("POST", "list", wire.FileQuery{Path: "d", Page: 1, Limit: 100}) },
		"entry": func(n *node, _ int) { n.do("GET", "entry?"+at("d/precious"), nil) },
		"read": func(n *node, _ int) {
			if r := n.do("GET", "content?"+at("d/precious"), nil); string(r.body) == "precious" {
				n.t.Error("what is outside was read")
			}
		},
		"write": func(n *node, _ int) { n.do("PUT", "content?"+at("d/precious"), strings.NewReader("bad")) },
		"folder": func(n *node, r int) {
			n.json("POST", "folder", wire.FileFolder{Path: wire.Path(fmt.Sprint("d/new", r))})
		},
		"rename": func(n *node, r int) {
			n.plant("mine", "bad")
			n.json("POST", "rename", wire.FileRenames{Overwrite: true, Renames: []wire.FileRename{{From: "mine", To: "d/precious"}, {From: "d/precious", To: "got"}, {From: "mine", To: wire.Path(fmt.Sprint("d/x", r))}}})
		},
		"chmod": func(n *node, _ int) {
			n.json("POST", "chmod", wire.FileChmod{Paths: []wire.Path{"d/precious", "d"}, Mode: 0o777})
		},
		"search": func(n *node, _ int) {
			r := n.json("POST", "search", wire.FileSearch{Path: "d", Content: "precious", Limit: 10})
			if bytes.Contains(r.body, []byte(`"line"`)) {
				n.t.Errorf("what is outside was searched: %s", r.body)
			}
		},
		"bundle": func(n *node, _ int) {
			r := n.json("POST", "bundle", wire.FileBundle{Folder: ".", Paths: []wire.Path{"d"}, Format: wire.ArchiveTar})
			if bytes.Contains(r.body, []byte("precious\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")) && bytes.Contains(r.body, append([]byte("precious"), make([]byte, 504)...)) {
				n.t.Error("what is outside was packed")
			}
		},
		"upload": func(n *node, _ int) {
			id := uuid.NewString()
			n.json("PUT", "uploads/"+id, wire.FileUpload{Path: "d/precious", Size: 3, Overwrite: true})
			n.do("PATCH", "uploads/"+id+"?offset=0", strings.NewReader("bad"))
			n.json("POST", "uploads/"+id, nil)
			n.json("DELETE", "uploads/"+id, nil)
		},
		"delete": func(n *node, _ int) {
			n.task(wire.FileTask{Delete: &wire.FileDelete{Paths: []wire.Path{"d/precious", "d/folder/inner", "d"}}})
		},
		"copy": func(n *node, _ int) {
			n.task(wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{"d"}, To: "copies"}})
		},
		"copy to": func(n *node, _ int) {
			n.plant("mine", "bad")
			n.task(wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{"mine"}, To: "d"}})
		},
		"archive": func(n *node, r int) {
			n.task(wire.FileTask{Archive: &wire.FileArchive{FileBundle: wire.FileBundle{Folder: ".", Paths: []wire.Path{"d"}, Format: wire.ArchiveZip}, To: wire.Path(fmt.Sprintf("d/%d.zip", r))}})
		},
		"extract": func(n *node, _ int) {
			n.task(wire.FileTask{Extract: &wire.FileExtract{Path: "a.tar", To: "d", Overwrite: true}})
		},
		"pull": func(n *node, _ int) {
			n.task(wire.FileTask{Pull: &wire.FilePull{URL: bad.URL, To: "d/precious", Over: true}})
		},
	}
	for name, verb := range verbs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := setup(t)
			n.plant("a.tar", string(tarOf(t, tarEntry{name: "precious", body: "bad"}, tarEntry{name: "folder/inner", body: "bad"}, tarEntry{name: "folder/more", body: "bad"})))
			ctx, cancel := context.WithCancel(t.Context())
			var container sync.WaitGroup
			container.Go(func() { n.swap(ctx) })
			for round := range 40 {
				verb(n, round)
			}
			cancel()
			container.Wait()
			for path, content := range tree(t, n.data) {
				if content == "precious" {
					t.Errorf("%s has what is outside", path)
				}
			}
		})
	}
}

// swap makes d a folder with files, then one with links, then a link itself.
func (n *node) swap(ctx context.Context) {
	d := filepath.Join(n.data, "d")
	for round := 0; ctx.Err() == nil; round++ {
		next := filepath.Join(n.data, fmt.Sprint("next", round))
		switch round % 3 {
		case 0:
			_ = os.MkdirAll(filepath.Join(next, "folder"), 0o755)
			_ = os.WriteFile(filepath.Join(next, "precious"), []byte("mine"), 0o644)
			_ = os.WriteFile(filepath.Join(next, "folder", "inner"), []byte("mine"), 0o644)
		case 1:
			_ = os.Mkdir(next, 0o755)
			_ = os.Symlink(filepath.Join(n.outside, "precious"), filepath.Join(next, "precious"))
			_ = os.Symlink(filepath.Join(n.outside, "folder"), filepath.Join(next, "folder"))
		case 2:
			_ = os.Symlink(n.outside, next)
		}
		old := filepath.Join(n.data, fmt.Sprint("old", round))
		_ = os.Rename(d, old)
		_ = os.Rename(next, d)
		_ = os.RemoveAll(old)
		_ = os.RemoveAll(next)
		// And the files within, one by one.
		if info, err := os.Lstat(d); err == nil && info.IsDir() {
			_ = os.Rename(filepath.Join(d, "precious"), filepath.Join(d, "away"))
			_ = os.Symlink(filepath.Join(n.outside, "precious"), filepath.Join(d, "precious"))
		}
	}
}
