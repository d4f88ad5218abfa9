package journal

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestImages(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	j, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(j.Pulled("sha256:a", "one:1", at))
	must(j.Pulled("sha256:b", "two:1", at))
	must(j.Pulled("sha256:a", "one:2", at.Add(time.Hour)))
	must(j.Pulled("sha256:a", "one:1", at.Add(2*time.Hour)))
	must(j.ImagesUsed(at.Add(3*time.Hour), []string{"sha256:b", "sha256:never"}, []string{"sha256:c"}))
	must(j.Close())
	j, err = Open(path)
	must(err)
	defer func() { _ = j.Close() }()
	list, err := j.Images()
	must(err)
	if len(list) != 2 || list[0].ID != "sha256:a" || !slices.Equal(list[0].Names, []string{"one:2", "one:1"}) ||
		!list[0].Used.Equal(at.Add(2*time.Hour)) || !list[1].Used.Equal(at.Add(3*time.Hour)) {
		t.Errorf("images: %+v", list)
	}
	must(j.ImagesUsed(at, nil, []string{"sha256:a", "sha256:b"}))
	if list, err = j.Images(); err != nil || len(list) != 0 {
		t.Errorf("images: %+v, %v", list, err)
	}
}

func TestImagesAreBounded(t *testing.T) {
	t.Parallel()
	j, err := Open(filepath.Join(t.TempDir(), "journal.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	failed := make(chan error, maxImages+10)
	for i := range maxImages + 10 {
		go func() { failed <- j.Pulled(fmt.Sprintf("sha256:%04d", i), "x:1", at.Add(time.Duration(i)*time.Second)) }()
	}
	for range maxImages + 10 {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Pulled("sha256:last", "x:1", at.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	list, err := j.Images()
	if err != nil || len(list) != maxImages || list[len(list)-1].ID != "sha256:last" {
		t.Errorf("%d images are remembered, %v", len(list), err)
	}
}
