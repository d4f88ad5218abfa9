package image

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/image/rule"
)

// realEggs gives the files of public eggs, where they are kept beside the
// repository; without them the test is skipped.
func realEggs(t *testing.T) map[string][]byte {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		corpus := filepath.Join(dir, "..", "shared", "corpus", "eggs")
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			if _, err := os.Stat(corpus); err != nil {
				t.Skip("the public eggs are not there")
			}
			return filesOf(t, corpus)
		}
		if dir == filepath.Dir(dir) {
			t.Skip("the repository's root is not above the test")
		}
		dir = filepath.Dir(dir)
	}
}

func filesOf(t *testing.T, root string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(path)) {
			return err
		}
		text, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, root)] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// example is an instance as tests render it.
func example() At {
	return At{ID: "0123abcd", Name: "My {{SERVER_IP}} server", Reference: "example/game:1", MemoryMiB: 1024, DiskMiB: 5120, NanoCPUs: 1_500_000_000,
		Ports: []AtPort{{Container: 25565, Primary: true}, {Container: 25575}}, Node: "frankfurt-1", Address: "node.example.test",
		CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC), Random: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
}

func TestPublicEggsRenderWhole(t *testing.T) {
	t.Parallel()
	eggs := realEggs(t)
	unheld := map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(eggs)) {
		read, err := eggReader{}.Read(name, eggs[name])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		d := read.Image.Definition
		for _, u := range d.Unheld() {
			unheld[u]++
		}
		for n := range max(1, len(d.Commands)) {
			at := example()
			if n < len(d.Commands) {
				at.Startup = d.Commands[n].Name
			}
			r, err := d.Render(nil, at)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			patches, _ := json.Marshal(r.Patches)
			for _, text := range append(slices.Clone(r.Env), string(patches)) {
				if placeholder.MatchString(text) {
					t.Errorf("%s leaves %.300s", name, text)
				}
			}
			if startup := r.Env[1]; !strings.HasPrefix(startup, "STARTUP=") || startup == "STARTUP=" {
				t.Errorf("%s starts nothing: %q", name, startup)
			}
		}
		schema := read.Image.SchemaFor(false)
		for name, p := range schema.Properties {
			for _, text := range append([]string{p.Pattern}, patterns(p.AllOf)...) {
				if _, err := regexp.Compile(text); err != nil {
					t.Errorf("%s: %s: %v", name, text, err)
				}
			}
		}
	}
	t.Logf("%d eggs; rules that nobody holds: %v", len(eggs), unheld)
}

func patterns(of []rule.SchemaMatch) []string {
	var out []string
	for _, m := range of {
		out = append(out, m.Pattern)
	}
	return out
}
