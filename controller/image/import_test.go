package image_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// inUse stands for the instances.
type inUse struct{ references []string }

func (u inUse) UsingImage(context.Context, store.Querier, ident.Image) (int, error) {
	return len(u.references), nil
}

func (u inUse) ReferencesOf(context.Context, store.Querier, ident.Image) ([]string, error) {
	return u.references, nil
}

type bench struct {
	testing.TB
	db     *store.DB
	images *image.Service
}

func setup(t testing.TB, used ...string) *bench {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &bench{TB: t, db: db, images: image.NewService(db, event.New(time.Now), inUse{used}, time.Now)}
}

func (b *bench) take(files ...image.ImportFile) []image.ImportedFile {
	b.Helper()
	report, err := b.images.Import(b.Context(), access.Local(), image.ImportOrder{Files: files})
	if err != nil {
		b.Fatal(err)
	}
	return report.Files
}

// one imports a file that must come in with the status.
func (b *bench) one(name, text string, want image.ImportStatus) image.ImportedFile {
	b.Helper()
	got := b.take(image.ImportFile{Name: name, Text: text})[0]
	if got.Status != want {
		b.Fatalf("%s: %+v", name, got)
	}
	return got
}

func (b *bench) get(id string) image.Image {
	b.Helper()
	i, err := b.images.Get(b.Context(), ident.Image(id))
	if err != nil {
		b.Fatal(err)
	}
	return i
}

func (b *bench) export(id, format, as string) string {
	b.Helper()
	out, err := b.images.Export(b.Context(), ident.Image(id), format, as)
	if err != nil {
		b.Fatal(err)
	}
	return string(out.Text)
}

// corpus gives the real files beside the repository.
func corpus(t testing.TB) []image.ImportFile {
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
		var files []image.ImportFile
		err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			files = append(files, image.ImportFile{Name: strings.TrimPrefix(path, root+"/"), Text: string(text)})
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

// said is an image as text, without what each catalogue makes by itself.
func said(t testing.TB, i image.Image) string {
	t.Helper()
	text, err := json.MarshalIndent(i.Definition, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return i.Name + "\n" + string(text)
}

// All real eggs come in, none is merged with another, a second import changes
// nothing, and what goes out in any form comes in elsewhere as the same.
func TestCorpus(t *testing.T) {
	t.Parallel()
	files := corpus(t)
	b := setup(t)
	count := map[image.ImportStatus]int{}
	ids := map[string]bool{}
	report := b.take(files...)
	for _, f := range report {
		count[f.Status]++
		if f.Status == image.Imported {
			ids[f.ImageID] = true
			continue
		}
		if filepath.Base(f.File) != "LICENSE" {
			t.Errorf("%+v", f)
		}
	}
	if count[image.Imported] < 192 || len(ids) != count[image.Imported] || count[image.Refused] != 0 {
		t.Errorf("%v, %d images", count, len(ids))
	}
	before, err := b.images.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range b.take(files...) {
		if f.Status != image.Updated && filepath.Base(f.File) != "LICENSE" {
			t.Errorf("once more: %+v", f)
		}
	}
	after, err := b.images.All(t.Context())
	if err != nil || len(after) != len(before) {
		t.Fatalf("%d images became %d, %v", len(before), len(after), err)
	}
	for n := range before {
		if said(t, before[n]) != said(t, after[n]) || before[n].UpdatedAt != after[n].UpdatedAt {
			t.Errorf("%s became\n%s", said(t, before[n]), said(t, after[n]))
		}
	}
	b.comesBack(before)
}

// comesBack exports images in every form and imports them elsewhere and here.
func (b *bench) comesBack(images []image.Image) {
	b.Helper()
	for _, form := range [][2]string{{"PLCN_v3", "json"}, {"PLCN_v3", "yaml"}, {"classic", "json"}} {
		var files []image.ImportFile
		for _, i := range images {
			files = append(files, image.ImportFile{Name: string(i.ID) + "." + form[1], Text: b.export(string(i.ID), form[0], form[1])})
		}
		elsewhere := setup(b)
		for n, f := range elsewhere.take(files...) {
			if f.Status != image.Imported {
				b.Errorf("%s as %v: %+v", images[n].Name, form, f)
				continue
			}
			if want, got := said(b, images[n]), said(b, elsewhere.get(f.ImageID)); want != got {
				b.Errorf("%s as %v:\n%s", images[n].Name, form, firstDifference(want, got))
			}
		}
		for n, f := range b.take(files...) {
			if f.Status != image.Updated || f.ImageID != string(images[n].ID) {
				b.Errorf("%s as %v, where it came from: %+v", images[n].Name, form, f)
			} else if want, got := said(b, images[n]), said(b, b.get(f.ImageID)); want != got {
				b.Errorf("%s as %v, where it came from:\n%s", images[n].Name, form, firstDifference(want, got))
			}
		}
	}
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for n := range a {
		if n >= len(b) || a[n] != b[n] {
			return strings.Join(a[max(0, n-2):min(len(a), n+3)], "\n") + "\nbecame\n" + strings.Join(b[max(0, min(n, len(b))-2):min(len(b), n+3)], "\n")
		}
	}
	return "more lines: " + strings.Join(slices.Clone(b[len(a):]), "\n")
}
