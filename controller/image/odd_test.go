package image_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/image/compose"
)

var updateOdd = flag.Bool("update-odd", false, "write the report of the odd files anew")

// What people have that is odd but meant, and what lies beside it: the report of
// each file stands in testdata/odd.txt, for people to read. What came in goes out
// in every form and comes back as the same.
func TestOddFiles(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/odd/*")
	if err != nil || len(paths) == 0 {
		t.Fatal("there are none", err)
	}
	b := setup(t)
	b.images.Attach(nil, compose.Reader{})
	var files []image.ImportFile
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, image.ImportFile{Name: filepath.Base(path), Bytes: text})
	}
	var report strings.Builder
	reports := b.take(files...)
	for _, f := range reports {
		fmt.Fprintf(&report, "%s: %s", f.File, f.Status)
		if f.Name != "" {
			fmt.Fprintf(&report, " %s (%s)", f.Name, f.Format)
		}
		report.WriteByte('\n')
		if f.Error != "" {
			fmt.Fprintf(&report, "    error: %s\n", f.Error)
		}
		for _, change := range f.Changes {
			fmt.Fprintf(&report, "    %s\n", change)
		}
		if len(f.Ignored) > 0 {
			fmt.Fprintf(&report, "    ignored: %s\n", strings.Join(f.Ignored, ", "))
		}
	}
	const golden = "testdata/odd.txt"
	if *updateOdd {
		if err := os.WriteFile(golden, []byte(report.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || report.String() != string(want) {
		t.Errorf("%s is not what it was (go test -run Odd -update-odd writes it), %v:\n%s", golden, err, firstDifference(string(want), report.String()))
	}
	for n, f := range b.take(files...) {
		if first := reports[n]; first.Status == image.Imported && (f.Status != image.Updated || f.ImageID != first.ImageID) {
			t.Errorf("once more: %+v, at first %+v", f, first)
		}
	}
	all, err := b.images.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if _, err := i.Render(nil, image.At{ID: "x", Name: "x"}); err != nil {
			t.Errorf("%s is not rendered: %v", i.Name, err)
		}
	}
	b.comesBack(all)
}
