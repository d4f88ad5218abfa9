package arch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the tree's, seen from this package's folder, where tests run.
const root = "../.."

// report fails the test with one line for each breach.
func report(t *testing.T, found []breach) {
	t.Helper()
	slices.SortFunc(found, func(a, b breach) int {
		if c := strings.Compare(a.path, b.path); c != 0 {
			return c
		}
		return a.line - b.line
	})
	for _, b := range found {
		t.Error(b)
	}
}

func TestTreeKeepsThePlan(t *testing.T) {
	t.Parallel()
	all := scan(t, root)
	if len(all) < 20 {
		t.Fatalf("only %d Go files were read: the rules looked at next to nothing", len(all))
	}
	for name, check := range rules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var found []breach
			for _, s := range all {
				found = append(found, check(s)...)
			}
			report(t, found)
		})
	}
	t.Run("documented", func(t *testing.T) {
		t.Parallel()
		report(t, undocumented(all))
	})
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(filepath.FromSlash(root))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	report(t, strangers(names, ignoredNames(t, root)))
}
