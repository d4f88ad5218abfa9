package transfer

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// small is a node whose volumes lie on a filesystem of their own, of 8 MiB, with
// options.
func small(t *testing.T, options string) *node {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "small")
	must(t, os.Mkdir(dir, 0o755))
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"+options); err != nil {
		t.Skipf("a filesystem of its own can't be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return setupAt(t, filepath.Join(dir, "volumes"))
}

// TestADiskThatFillsUpMeanwhile has the kernel say no, after everybody thought
// that there was room.
func TestADiskThatFillsUpMeanwhile(t *testing.T) {
	t.Parallel()
	n := small(t, "")
	whole := content(1, 5<<20)
	id := uuid.NewString()
	n.upload(id, wire.FileUpload{Path: "f", Size: int64(len(whole))})
	n.plant("log", strings.Repeat("x", 5<<20)) // the container's
	n.patch(id, 0, bytes.NewReader(whole)).bad(t, problem.InsufficientResources)
	n.do("PUT", "content?"+at("g"), bytes.NewReader(whole)).bad(t, problem.InsufficientResources)
	n.fails(wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{"log"}, To: "."}}, problem.InsufficientResources)
	n.works(wire.FileTask{Delete: &wire.FileDelete{Paths: []wire.Path{"log"}}}) // what is full can be emptied
	offset := n.offset(id)
	n.patch(id, offset, bytes.NewReader(whole[offset:])).good(t, nil)
	n.json("POST", "uploads/"+id, nil).good(t, nil)
	if n.get("f") != string(whole) {
		t.Error("the file is another one")
	}
}

// TestAsManyFilesAsThereCanBe has room for bytes, but for no more files: every verb
// that makes one says so, also when what it made before was cleared away again.
func TestAsManyFilesAsThereCanBe(t *testing.T) {
	t.Parallel()
	n := small(t, ",nr_inodes=80")
	for i := range 20 {
		n.plant(fmt.Sprintf("folder/%d", i), "x")
	}
	must(t, os.WriteFile(filepath.Join(n.data, "a.tar"), tarOf(t, tarEntry{name: "x", body: "x"}, tarEntry{name: "y", body: "x"}), 0o644))
	n.put("first", "x") // makes the room for parts
	stuffed := 0
	for stuff(n, stuffed) == nil {
		stuffed++
	}
	free := func(want int) {
		t.Helper()
		for range want {
			stuffed--
			must(t, os.Remove(filepath.Join(n.data, fmt.Sprint("stuff", stuffed))))
		}
	}
	before := tree(t, n.data)
	says := func(what, said string) {
		t.Helper()
		if !strings.Contains(said, "holds as many files as it can") {
			t.Errorf("%s: %s", what, said)
		}
	}
	says("a file", n.do("PUT", "content?"+at("new"), strings.NewReader("x")).bad(t, problem.InsufficientResources))
	says("a folder", n.json("POST", "folder", wire.FileFolder{Path: "new"}).bad(t, problem.InsufficientResources))
	says("an upload", n.json("PUT", "uploads/"+uuid.NewString(), wire.FileUpload{Path: "new", Size: 1}).bad(t, problem.InsufficientResources))
	copying := wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{"folder"}, To: "."}}
	says("a copy", n.fails(copying, problem.InsufficientResources).Message)
	if now := tree(t, n.data); !maps.Equal(now, before) {
		t.Errorf("%v are there now", slices.Sorted(maps.Keys(now)))
	}
	free(2) // in the midst of it
	limit := int64(512 << 20)
	n.limit = &limit
	state := n.fails(copying, problem.InsufficientResources)
	if says("half a copy", state.Message); !strings.Contains(state.Message, "the disk of this instance holds") || state.Files < 2 {
		t.Errorf("%+v", state)
	}
	says("half an archive", n.fails(wire.FileTask{Extract: &wire.FileExtract{Path: "a.tar", To: "new"}}, problem.InsufficientResources).Message)
	free(22)
	n.works(copying)
}

func stuff(n *node, nth int) error {
	return os.WriteFile(filepath.Join(n.data, fmt.Sprint("stuff", nth)), nil, 0o644)
}

// What fails takes its own folders with it: not those of before, and none that
// holds what did succeed.
func TestWhatFailsLeavesNoFolders(t *testing.T) {
	t.Parallel()
	n := small(t, "")
	n.plant("log", strings.Repeat("x", 5<<20))
	n.plant("a", "a")
	n.plant("a.tar", string(tarOf(t, tarEntry{name: "x", body: "x"})))
	must(t, os.MkdirAll(filepath.Join(n.data, "there", "empty"), 0o755))
	before := tree(t, n.data)
	same := func(what string) {
		t.Helper()
		if now := tree(t, n.data); !maps.Equal(now, before) {
			t.Errorf("%s left %v", what, slices.Sorted(maps.Keys(now)))
		}
	}
	for _, to := range []wire.Path{"new", "new/and/deep", "there/empty", "there/empty/new", "there/new"} {
		n.fails(wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{"log"}, To: to}}, problem.InsufficientResources)
		same("a copy to " + string(to))
	}
	n.do("PUT", "content?match=%2A&"+at("new/of/nothing"), strings.NewReader("x")).bad(t, problem.Conflict)
	same("a file that isn't there any more")
	long := wire.Path(strings.Repeat(strings.Repeat("n", wire.MaxName)+"/", wire.MaxPath/(wire.MaxName+1)) + strings.Repeat("n", wire.MaxName-1))
	n.fails(wire.FileTask{Extract: &wire.FileExtract{Path: "a.tar", To: long}}, problem.Validation)
	same("an archive with a name that is too long there")
	n.fails(wire.FileTask{Copy: &wire.FileCopy{Paths: []wire.Path{"a", "log"}, To: "new/and"}}, problem.InsufficientResources)
	before["new"], before["new/and"], before["new/and/a"] = "dir", "dir", before["a"]
	same("a copy of two, of which one went well,")
}

// FuzzExtract: no archive leaves anything outside of its folder, be it good or bad.
func FuzzExtract(f *testing.F) {
	f.Add(tarOf(f, tarEntry{name: "a/b", body: "x"}, tarEntry{name: "l", kind: '2', link: "/etc"}, tarEntry{name: "l/x", body: "y"}))
	f.Add(tarOf(f, tarEntry{name: "h", kind: '1', link: "a"}, tarEntry{name: "../a", body: "y"}))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := setup(t)
		n.plant("a", string(data))
		state := n.task(wire.FileTask{Extract: &wire.FileExtract{Path: "a", To: "to"}})
		got := tree(t, n.data)
		for name := range got {
			if name != "a" && (state.Failure != nil || name != "to" && !strings.HasPrefix(name, "to/")) {
				t.Fatalf("%q came of it, %+v", name, state)
			}
		}
		if got["a"] != string(data) {
			t.Fatal("the archive itself was changed")
		}
		n.noParts()
	})
}
