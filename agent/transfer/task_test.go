package transfer

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zip"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestDelete(t *testing.T) {
	t.Parallel()
	n := setup(t)
	for i := range 300 {
		n.plant(fmt.Sprintf("tree/%d/%d/f", i%7, i), "x")
	}
	deep := filepath.Join(n.data, "deep")
	must(t, os.Mkdir(deep, 0o755))
	at, err := os.OpenRoot(deep)
	must(t, err)
	for range 300 { // deeper than a path can say
		name := strings.Repeat("d", 100)
		must(t, at.Mkdir(name, 0o755))
		next, err := at.OpenRoot(name)
		must(t, err)
		_ = at.Close()
		at = next
	}
	_ = at.Close()
	n.plant("keep", "x")
	state := n.works(wire.FileTask{Delete: &wire.FileDelete{Paths: []wire.Path{"tree", "deep", "never-there"}}})
	if state.Percent != 100 || state.Files != 300+300+7+1+301 {
		t.Errorf("%+v", state)
	}
	same(t, tree(t, n.data), map[string]string{"keep": "x"})
	n.noParts()
}

func TestCopy(t *testing.T) {
	t.Parallel()
	n := setup(t)
	n.plant("a.txt", "a")
	n.plant("d.x/in/f", "f")
	n.plant("d.x/\xff", "odd")
	must(t, os.Symlink("../../etc", filepath.Join(n.data, "d.x/l")))
	hole, err := os.Create(filepath.Join(n.data, "d.x/hole"))
	must(t, err)
	_, err = hole.WriteAt([]byte("end"), 1<<20)
	must(t, err)
	must(t, hole.Truncate(2<<20))
	must(t, hole.Close())
	must(t, os.Chmod(filepath.Join(n.data, "a.txt"), 0o4751|os.ModeSetuid))
	when := time.Unix(1_600_000_000, 0)
	must(t, os.Chtimes(filepath.Join(n.data, "a.txt"), when, when))
	for range 2 {
		n.works(wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{"a.txt", "d.x"}, To: "."}})
	}
	got := tree(t, n.data)
	end := strings.Repeat("\x00", 1<<20) + "end" + strings.Repeat("\x00", 1<<20-3)
	for _, d := range []string{"d.x", "d.x (2)", "d.x (3)"} {
		for name, want := range map[string]string{"": "dir", "/in": "dir", "/in/f": "f", "/\xff": "odd", "/l": "-> ../../etc", "/hole": end} {
			if got[d+name] != want {
				t.Errorf("%q is %.50q", d+name, got[d+name])
			}
		}
	}
	if got["a (2).txt"] != "a" || got["a (3).txt"] != "a" || len(got) != 3+18 {
		t.Errorf("%d entries", len(got))
	}
	info, err := os.Stat(filepath.Join(n.data, "a (2).txt"))
	if err != nil || info.Mode() != 0o751 || !info.ModTime().Equal(when) {
		t.Errorf("%v, %v, %v", info.Mode(), info.ModTime(), err)
	}
	n.works(wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{"d.x"}, To: "d.x/in"}}) // into itself
	n.fails(wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{"none"}, To: "."}}, problem.NotFound)
	n.noParts()
}

func TestNumbered(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		n    int
		file bool
		want string
	}{
		{"a.txt", 1, true, "a.txt"}, {"a.txt", 2, true, "a (2).txt"}, {"a.b", 3, false, "a.b (3)"}, {".env", 2, true, ".env (2)"},
		{strings.Repeat("x", 255), 10, true, strings.Repeat("x", 250) + " (10)"},
	} {
		if got := numbered(tt.name, tt.n, tt.file); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

func TestPackedIsWhatIsUnpacked(t *testing.T) {
	t.Parallel()
	n := setup(t)
	n.plant("src/f", strings.Repeat("text\n", 10_000))
	n.plant("src/empty", "")
	n.plant("src/d/\xffodd é", "odd")
	n.plant("src/"+strings.Repeat("long", 40)+"/"+strings.Repeat("name", 50), "long")
	must(t, os.Mkdir(filepath.Join(n.data, "src/nothing"), 0o755))
	must(t, os.Chmod(filepath.Join(n.data, "src/f"), 0o640))
	must(t, os.Symlink("/etc/passwd", filepath.Join(n.data, "src/l")))
	want := tree(t, filepath.Join(n.data, "src"))
	for _, format := range []wire.ArchiveFormat{wire.ArchiveZip, wire.ArchiveTar, wire.ArchiveTarGz, wire.ArchiveTarXz, wire.ArchiveTarZs} {
		to := wire.Path("out/a." + string(format))
		bundle := wire.FileBundle{Folder: "src", Format: format}
		n.works(wire.FileTask{Archive: &wire.FileArchive{FileBundle: bundle, To: to}})
		n.works(wire.FileTask{Extract: &wire.FileExtract{Path: to, To: wire.Path("back/" + string(format))}})
		same(t, tree(t, filepath.Join(n.data, "back", string(format))), want)
		info, err := os.Stat(filepath.Join(n.data, "back", string(format), "f"))
		if err != nil || info.Mode() != 0o640 {
			t.Errorf("%s: %v, %v", format, info.Mode(), err)
		}
		stream := n.json("POST", "bundle", bundle).good(t, nil)
		again := n.json("POST", "bundle", bundle).good(t, nil)
		if !bytes.Equal(stream.body, again.body) || string(stream.body) != n.get(to) {
			t.Errorf("%s: the same files give different archives", format)
		}
		n.fails(wire.FileTask{Archive: &wire.FileArchive{FileBundle: bundle, To: to}}, problem.Conflict)
	}
	n.noParts()
}

func TestExtractMerges(t *testing.T) {
	t.Parallel()
	n := setup(t)
	n.plant("to/d/mine", "mine")
	n.plant("to/d/f", "old")
	n.plant("a.tar", string(tarOf(t, tarEntry{name: "./", kind: tar.TypeDir, mode: 0o755}, tarEntry{name: "./d/f", body: "new"}, tarEntry{name: "e/g", body: "g"}, tarEntry{name: "e/g", body: "g2"})))
	before := tree(t, n.data)
	n.fails(wire.FileTask{Extract: &wire.FileExtract{Path: "a.tar", To: "to"}}, problem.Conflict)
	same(t, tree(t, n.data), before)
	n.works(wire.FileTask{Extract: &wire.FileExtract{Path: "a.tar", To: "to", Overwrite: true}})
	same(t, tree(t, filepath.Join(n.data, "to")), map[string]string{"d": "dir", "d/mine": "mine", "d/f": "new", "e": "dir", "e/g": "g2"})
	n.plant("kinds/d", "a file")
	n.fails(wire.FileTask{Extract: &wire.FileExtract{Path: "a.tar", To: "kinds", Overwrite: true}}, problem.Conflict)
	n.noParts()
}

func TestExtractOfOneFile(t *testing.T) {
	t.Parallel()
	n := setup(t)
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write([]byte("content"))
	must(t, err)
	must(t, w.Close())
	n.plant("log.txt.gz", out.String())
	n.plant("noname", out.String())
	n.works(wire.FileTask{Extract: &wire.FileExtract{Path: "log.txt.gz", To: "."}})
	n.works(wire.FileTask{Extract: &wire.FileExtract{Path: "noname", To: "."}})
	if n.get("log.txt") != "content" || n.get("noname.out") != "content" {
		t.Error("another content")
	}
	n.plant("plain.zip", "no archive")
	n.fails(wire.FileTask{Extract: &wire.FileExtract{Path: "plain.zip", To: "."}}, problem.Validation)
	n.plant("cut.gz", out.String()[:20])
	n.fails(wire.FileTask{Extract: &wire.FileExtract{Path: "cut.gz", To: "."}}, problem.Validation)
	n.plant("empty", "")
	n.fails(wire.FileTask{Extract: &wire.FileExtract{Path: "empty", To: "."}}, problem.Validation)
}

func zipOf(t *testing.T, names ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range names {
		f, err := w.Create(name)
		must(t, err)
		_, err = f.Write([]byte("bad"))
		must(t, err)
	}
	must(t, w.Close())
	return out.Bytes()
}

func TestHostileArchives(t *testing.T) {
	t.Parallel()
	n := setup(t)
	out := n.outside
	bad := map[string][]byte{
		"slip.zip":       zipOf(t, "ok", "../../slip"),
		"absolute.zip":   zipOf(t, out+"/x"),
		"slip.tar":       tarOf(t, tarEntry{name: "ok", body: "x"}, tarEntry{name: "a/../../slip", body: "bad"}),
		"absolute.tar":   tarOf(t, tarEntry{name: out + "/precious", body: "bad"}),
		"through.tar":    tarOf(t, tarEntry{name: "l", kind: tar.TypeSymlink, link: out}, tarEntry{name: "l/precious", body: "bad"}),
		"through2.tar":   tarOf(t, tarEntry{name: "l", kind: tar.TypeSymlink, link: out}, tarEntry{name: "l", kind: tar.TypeDir, mode: 0o777}, tarEntry{name: "l/x", body: "bad"}),
		"hard.tar":       tarOf(t, tarEntry{name: "h", kind: tar.TypeLink, link: out + "/precious"}),
		"hard-up.tar":    tarOf(t, tarEntry{name: "h", kind: tar.TypeLink, link: "../../precious"}),
		"hard-none.tar":  tarOf(t, tarEntry{name: "h", kind: tar.TypeLink, link: "none"}),
		"hard-link.tar":  tarOf(t, tarEntry{name: "l", kind: tar.TypeSymlink, link: out}, tarEntry{name: "h", kind: tar.TypeLink, link: "l/precious"}),
		"under-file.tar": tarOf(t, tarEntry{name: "f", body: "x"}, tarEntry{name: "f/x", body: "bad"}),
		"deep.tar":       tarOf(t, tarEntry{name: strings.Repeat("a/", 200) + "x", body: "x"}),
		"long.tar":       tarOf(t, tarEntry{name: strings.Repeat("a", 300), body: "x"}),
		"cut.tar":        tarOf(t, tarEntry{name: "f", body: strings.Repeat("x", 5000)})[:3000],
	}
	for name, archive := range bad {
		n.plant(name, string(archive))
	}
	before := tree(t, n.data)
	for name := range bad {
		n.fails(wire.FileTask{Extract: &wire.FileExtract{Path: wire.Path(name), To: "."}}, problem.Validation)
	}
	same(t, tree(t, n.data), before)
	n.plant("kinds.tar", string(tarOf(t,
		tarEntry{name: "dev", kind: tar.TypeChar}, tarEntry{name: "pipe", kind: tar.TypeFifo}, tarEntry{name: "setuid", body: "x", mode: 0o6755},
		tarEntry{name: "up", kind: tar.TypeSymlink, link: "../../../x"}, tarEntry{name: "one", body: "1"}, tarEntry{name: "two", kind: tar.TypeLink, link: "one"}, tarEntry{name: "\xfe", body: "odd"})))
	n.works(wire.FileTask{Extract: &wire.FileExtract{Path: "kinds.tar", To: "kinds"}})
	same(t, tree(t, filepath.Join(n.data, "kinds")), map[string]string{"setuid": "x", "up": "-> ../../../x", "one": "1", "two": "1", "\xfe": "odd"})
	if info, err := os.Stat(filepath.Join(n.data, "kinds/setuid")); err != nil || info.Mode() != 0o755 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	n.noParts()
}

func TestABombStopsAtTheDisksLimit(t *testing.T) {
	t.Parallel()
	n := setup(t)
	var bomb bytes.Buffer
	w, err := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
	must(t, err)
	zeros := make([]byte, 1<<20)
	for range 5 {
		_, err := w.Write(zeros)
		must(t, err)
	}
	must(t, w.Close())
	n.plant("bomb.gz", bomb.String())
	limit := int64(3 << 20)
	n.limit = &limit
	if s := n.fails(wire.FileTask{Extract: &wire.FileExtract{Path: "bomb.gz", To: "."}}, problem.InsufficientResources); !strings.Contains(s.Message, "disk of this instance") {
		t.Errorf("%s", s.Message)
	}
	n.noParts()
}

func TestAFullDiskIsToldAndLeavesNothing(t *testing.T) {
	t.Parallel()
	n := setup(t)
	n.plant("f", strings.Repeat("x", 2<<20))
	n.plant("a.tar", string(tarOf(t, tarEntry{name: "big", body: strings.Repeat("x", 2<<20)})))
	limit := int64(1 << 20)
	n.limit = &limit
	full := func(r reply) {
		t.Helper()
		if said := r.bad(t, problem.InsufficientResources); !strings.Contains(said, "the disk of this instance is full (1 MiB)") {
			t.Errorf("%s", said)
		}
	}
	full(n.do("PUT", "content?"+at("new"), strings.NewReader(strings.Repeat("x", 2<<20))))
	full(n.json("PUT", "uploads/"+uuid.NewString(), wire.FileUpload{Path: "new", Size: 2 << 20}))
	for _, task := range []wire.FileTask{
		{Copy: &wire.FileCopy{Paths: []wire.Path{"f"}, To: "."}},
		{Archive: &wire.FileArchive{FileBundle: wire.FileBundle{Folder: ".", Format: wire.ArchiveTar}, To: "new.tar"}},
		{Extract: &wire.FileExtract{Path: "a.tar", To: "."}},
	} {
		if s := n.fails(task, problem.InsufficientResources); !strings.Contains(s.Message, "disk of this instance") {
			t.Errorf("%s", s.Message)
		}
	}
	if got := tree(t, n.data); len(got) != 2 {
		t.Errorf("%d entries", len(got))
	}
	n.noParts()
	n.works(wire.FileTask{Delete: &wire.FileDelete{Paths: []wire.Path{"f"}}})
}

func TestTasksAreRepeatedBoundedAndForgotten(t *testing.T) {
	t.Parallel()
	n := setup(t)
	n.plant("f", "x")
	id := uuid.NewString()
	task := wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{"f"}, To: "to"}}
	for range 3 {
		n.json("PUT", "tasks/"+id, task).good(t, nil)
	}
	n.ended(id)
	n.json("PUT", "tasks/"+id, task).good(t, nil)
	if got := tree(t, filepath.Join(n.data, "to")); len(got) != 1 {
		t.Errorf("%v", got)
	}
	n.json("GET", "tasks/"+uuid.NewString(), nil).bad(t, problem.NotFound)
	n.json("PUT", "tasks/"+uuid.NewString(), wire.FileTask{}).bad(t, problem.Validation)
	both := wire.FileTask{Copy: task.Copy, Delete: &wire.FileDelete{Paths: []wire.Path{"f"}}}
	n.json("PUT", "tasks/"+uuid.NewString(), both).bad(t, problem.Validation)
	for range tasksKept - 1 {
		n.json("PUT", "tasks/"+uuid.NewString(), wire.FileTask{Delete: &wire.FileDelete{Paths: []wire.Path{"none"}}}).good(t, nil)
	}
	n.json("PUT", "tasks/"+uuid.NewString(), task).bad(t, problem.RateLimited)
	n.store.Cut(one, errCancelled)
	n.store.yard(one).forget(time.Now().Add(taskKept))
	n.json("GET", "tasks/"+id, nil).bad(t, problem.NotFound)
	n.json("PUT", "tasks/"+id, task).good(t, nil)
	n.ended(id)
}

// held stops the work at the nth time that somebody asks whether he may write.
func (n *node) held(nth int) (reached <-chan struct{}, goOn func()) {
	at, wait := make(chan struct{}), make(chan struct{})
	count := 0
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = func() {
		if count++; count != nth {
			return
		}
		n.asked = nil
		n.mu.Unlock()
		close(at)
		<-wait
		n.mu.Lock()
	}
	return at, sync.OnceFunc(func() { close(wait) })
}

func TestACancelledTaskLeavesNothing(t *testing.T) {
	t.Parallel()
	n := setup(t)
	for i := range 50 {
		n.plant(fmt.Sprint("d/", i), "x")
	}
	before := tree(t, n.data)
	for _, how := range []string{"cancel", "moving", "cut"} {
		id := uuid.NewString()
		reached, goOn := n.held(20)
		n.json("PUT", "tasks/"+id, wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{"d"}, To: "to/here"}}).good(t, nil)
		<-reached
		code := problem.Conflict
		var cutting sync.WaitGroup
		switch how {
		case "cancel":
			if r := n.json("DELETE", "tasks/"+id, nil); r.status != 204 {
				t.Errorf("%d", r.status)
			}
		case "moving":
			n.forbid(problem.New(problem.Conflict, "it is being moved"))
		case "cut":
			cutting.Go(func() { n.store.Cut(one, problem.New(problem.NotFound, "it is gone")) })
			until(t, "the cut to be heard", func() bool {
				y := n.store.yard(one)
				y.mu.Lock()
				defer y.mu.Unlock()
				return y.tasks[id].ctx.Err() != nil
			})
			code = problem.NotFound
		}
		goOn()
		cutting.Wait()
		state := n.ended(id)
		if state.Failure == nil || state.Failure.Code != code {
			t.Errorf("%s: %+v", how, state)
		}
		n.forbid(nil)
		n.noParts()
	}
	after := tree(t, n.data)
	delete(after, "to")
	delete(after, "to/here")
	same(t, after, before)
}

func TestTwoTasksOfAnInstanceAtOnce(t *testing.T) {
	t.Parallel()
	n := setup(t)
	n.plant("f", "x")
	var ids []string
	var going []func()
	for range tasksOfOne {
		reached, goOn := n.held(2) // not the question before it begins
		id := uuid.NewString()
		n.json("PUT", "tasks/"+id, wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{"f"}, To: "to"}}).good(t, nil)
		<-reached
		ids, going = append(ids, id), append(going, goOn)
	}
	third := uuid.NewString()
	n.json("PUT", "tasks/"+third, wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{"f"}, To: "to"}}).good(t, nil)
	var state wire.FileTaskState
	n.json("GET", "tasks/"+third, nil).good(t, &state)
	if state.Done || !strings.Contains(state.Message, "waiting") {
		t.Errorf("%+v", state)
	}
	n.json("DELETE", "tasks/"+third, nil)
	if state := n.ended(third); state.Failure == nil || state.Failure.Message != errCancelled.Message {
		t.Errorf("%+v", state)
	}
	for _, goOn := range going {
		goOn()
	}
	for _, id := range ids {
		if state := n.ended(id); state.Failure != nil {
			t.Errorf("%v", state.Failure)
		}
	}
}

func TestWhatAnAgentOfBeforeLeftIsClearedAway(t *testing.T) {
	t.Parallel()
	n := setup(t)
	dir := n.partsDir()
	must(t, os.MkdirAll(filepath.Join(dir, "s-x/a/b"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "s-y"), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "u-"+uuid.NewString()), nil, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "r-"+uuid.NewString()), []byte("{"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "r-../../x"[:2]), []byte("{"), 0o600))
	n.reboot()
	n.put("f", "x")
	if got := n.parts(); len(got) != 0 {
		t.Errorf("left: %v", got)
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	n := setup(t)
	n.plant("server.properties", "motd=Hello\nport=1\nMOTD again\n")
	n.plant("d/other.PROPERTIES", "nothing")
	n.plant("d/long", strings.Repeat("é", 400)+"motd\n")
	n.plant("d/binary", "motd\x00")
	n.plant("d/huge", strings.Repeat("motd\n", searchLook/5+1))
	n.plant("d/\xff.txt", "motd\r\n")
	find := func(q wire.FileSearch) (hits []string, last wire.FileHit) {
		t.Helper()
		r := n.json("POST", "search", q).good(t, nil)
		for line := range strings.Lines(string(r.body)) {
			var h wire.FileHit
			must(t, json.Unmarshal([]byte(line), &h))
			if h.Last {
				return hits, h
			}
			hits = append(hits, fmt.Sprintf("%s:%d:%.20s", h.Entry.Path, h.Line, h.Text))
			if len(h.Text) > searchText {
				t.Errorf("a line of %d bytes", len(h.Text))
			}
		}
		t.Fatalf("the answer has no end: %s", r.body)
		return nil, last
	}
	for _, tt := range []struct {
		query  wire.FileSearch
		want   []string
		cut    bool
		passed int
	}{
		{wire.FileSearch{Path: ".", Name: "propert", Limit: 10}, []string{"d/other.PROPERTIES:0:", "server.properties:0:"}, false, 0},
		{wire.FileSearch{Path: ".", Name: "*.Properties", Limit: 10}, []string{"d/other.PROPERTIES:0:", "server.properties:0:"}, false, 0},
		{wire.FileSearch{Path: ".", Name: "*.properties", Limit: 1}, []string{"d/other.PROPERTIES:0:"}, true, 0},
		{wire.FileSearch{Path: ".", Content: "motd", Limit: 10}, []string{"d/long:1:" + strings.Repeat("é", 20), "d/\xff.txt:1:motd", "server.properties:1:motd=Hello", "server.properties:3:MOTD again"}, false, 2},
		{wire.FileSearch{Path: ".", Content: "MOTD", Case: true, Limit: 10}, []string{"server.properties:3:MOTD again"}, false, 2},
		{wire.FileSearch{Path: "d", Name: "?.txt", Content: "motd", Limit: 10}, []string{"d/\xff.txt:1:motd"}, false, 0},
		{wire.FileSearch{Path: "d", Name: "absent", Limit: 10}, nil, false, 0},
	} {
		hits, last := find(tt.query)
		if !slices.Equal(hits, tt.want) || last.Cut != tt.cut || last.Passed != tt.passed {
			t.Errorf("%+v: %q, %+v", tt.query, hits, last)
		}
	}
	n.json("POST", "search", wire.FileSearch{Path: ".", Limit: 10}).bad(t, problem.Validation)
	n.json("POST", "search", wire.FileSearch{Path: ".", Name: "x", Limit: 0}).bad(t, problem.Validation)
	n.json("POST", "search", wire.FileSearch{Path: "none", Name: "x", Limit: 1}).bad(t, problem.NotFound)
}
