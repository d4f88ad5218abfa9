package egg_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/image/egg"
)

// corpus finds the folder of real eggs beside the repository.
func corpus(t testing.TB) []string {
	t.Helper()
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		root := filepath.Join(dir, "shared", "corpus", "eggs")
		if _, err := os.Stat(root); err != nil {
			continue
		}
		var files []string
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if ext := filepath.Ext(path); err == nil && !e.IsDir() && (ext == ".json" || ext == ".yaml") {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	t.Skip("no corpus beside the repository")
	return nil
}

func TestCorpus(t *testing.T) {
	t.Parallel()
	files := corpus(t)
	if len(files) < 192 {
		t.Errorf("only %d files", len(files))
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !egg.Is(text) {
			t.Errorf("%s is said to be none", path)
		}
		one, err := egg.Read(text)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		same(t, path, one)
	}
}

// same writes an egg and reads it again.
func same(t testing.TB, name string, e *egg.Egg) {
	t.Helper()
	at := time.Unix(0, 0)
	for form, write := range map[string]func(time.Time) ([]byte, error){"JSON": e.JSON, "YAML": e.YAML} {
		text, err := write(at)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := egg.Read(text)
		if err != nil {
			t.Errorf("%s as %s: %v\n%.2000s", name, form, err, text)
			continue
		}
		want := *e
		want.Version, want.Changes = egg.PLCN3, nil
		if again.Changes != nil {
			t.Errorf("%s as %s: changed once more: %s", name, form, strings.Join(again.Changes, "; "))
		}
		if !reflect.DeepEqual(*again, want) {
			t.Errorf("%s as %s:\n%s", name, form, differ(want, *again))
		}
	}
}

func differ(want, got egg.Egg) string {
	var b strings.Builder
	w, g := reflect.ValueOf(want), reflect.ValueOf(got)
	for i := range w.NumField() {
		if !reflect.DeepEqual(w.Field(i).Interface(), g.Field(i).Interface()) {
			b.WriteString(w.Type().Field(i).Name + ": ")
			b.WriteString(strings.ReplaceAll(strings.TrimSpace(sprint(w.Field(i).Interface())), "\n", "⏎") + "\n  became ")
			b.WriteString(sprint(g.Field(i).Interface()) + "\n")
		}
	}
	return b.String()
}
