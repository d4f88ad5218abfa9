package volume

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/berth-panel/berth/shared/ident"
)

func TestStagedVolumesAreClosedAndListed(t *testing.T) {
	t.Parallel()
	s := setup(t)
	if list, err := s.Staged(); err != nil || len(list) != 0 {
		t.Fatalf("at first: %v, %v", list, err)
	}
	for _, text := range []string{"first", "second"} {
		if err := s.Stage(one, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if list, err := s.Staged(); err != nil || len(list) != 1 || string(list[one]) != text {
			t.Fatalf("%q, %v", list, err)
		}
	}
	for _, dir := range []string{staging, filepath.Join(staging, string(one))} {
		if info, err := os.Stat(filepath.Join(s.dir, dir)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
	if there, err := s.Has(one); there || err != nil {
		t.Errorf("what is staged counts as a volume: %v", err)
	}
	if _, err := s.Files(one); !errors.Is(err, ErrNone) {
		t.Errorf("what is staged is opened as a volume: %v", err)
	}
	staged, err := s.OpenStaged(one)
	if err != nil {
		t.Fatal(err)
	}
	staged.Close()
	for range 2 {
		if err := s.Unstage(one); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.OpenStaged(one); !errors.Is(err, ErrNone) {
		t.Errorf("after it was thrown away: %v", err)
	}
	if err := s.Sweep(func() bool { return true }); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(s.dir, trash)); err != nil || len(left) != 1 {
		t.Errorf("a sweep that was stopped left %v, %v", left, err)
	}
	if err := s.Sweep(func() bool { return false }); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(filepath.Join(s.dir, trash)); err != nil || len(left) != 0 {
		t.Errorf("the sweep left %v, %v", left, err)
	}
}

func TestStagingOfIdsThatAreNone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	dir := outside(t)
	for _, id := range []ident.Instance{"", "..", "../x", "trash", ident.Instance(dir)} {
		_, has := s.Has(id)
		_, opened := s.Files(id)
		_, staged := s.OpenStaged(id)
		for verb, err := range map[string]error{
			"stage": s.Stage(id, nil), "unstage": s.Unstage(id), "adopt": s.Adopt(id), "has": has, "files": opened, "open": staged,
		} {
			if err == nil {
				t.Errorf("%s of %q works", verb, id)
			}
		}
	}
	untouched(t, dir)
}

func TestAdoptFollowsNothing(t *testing.T) {
	t.Parallel()
	s := setup(t)
	dir := outside(t)
	if err := s.Stage(one, nil); err != nil {
		t.Fatal(err)
	}
	link(t, dir, filepath.Join(s.dir, staging, string(one), "data/out"))
	if err := s.Adopt(one); err != nil {
		t.Fatal(err)
	}
	root, err := s.Files(one)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if _, _, err := root.Open("out/precious"); err == nil {
		t.Error("a file outside was opened")
	}
	if err := s.Remove(one); err != nil {
		t.Fatal(err)
	}
	untouched(t, dir)
	if err := s.Adopt(one); !errors.Is(err, ErrNone) {
		t.Errorf("with nothing to adopt: %v", err)
	}
}
