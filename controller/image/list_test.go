package image_test

import (
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/image"
)

func TestSearchFindsNamesTagsAndAuthors(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, i := range []image.Image{
		{Name: "Blocks", Definition: image.Definition{References: []string{"a:1"}, Tags: []string{"game", "100%"}, Author: "anna@example.com"}},
		{Name: "Pages", Definition: image.Definition{References: []string{"b:1"}, Description: "No game at all."}},
	} {
		if _, err := b.images.Create(t.Context(), access.Local(), i); err != nil {
			t.Fatal(err)
		}
	}
	for search, want := range map[string]string{"block": "Blocks", "GAME": "Blocks", "anna@": "Blocks", "100%": "Blocks", "0_%": "", "page": "Pages", "nobody": ""} {
		found, total, err := b.images.List(t.Context(), image.Filter{Search: search, Limit: 10})
		name := ""
		for _, i := range found {
			name += i.Name
		}
		if err != nil || name != want || total != len(found) {
			t.Errorf("%q finds %q of %d, %v; want %q", search, name, total, err, want)
		}
	}
}

func TestAnImageTellsWhetherItHasAPicture(t *testing.T) {
	t.Parallel()
	b := setup(t)
	made, err := b.images.Create(t.Context(), access.Local(), image.Image{Name: "Blocks", Definition: image.Definition{References: []string{"a:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	icon, err := image.NewIcon("image/png", []byte("\x89PNG\r\n\x1a\n0000"))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		icon *image.Icon
		want bool
	}{{nil, false}, {icon, true}, {nil, false}} {
		if err := b.images.SetIcon(t.Context(), access.Local(), made.ID, step.icon); err != nil {
			t.Fatal(err)
		}
		if got := b.get(string(made.ID)).View().Icon; got != step.want {
			t.Errorf("with %v the view says %t", step.icon != nil, got)
		}
	}
}
