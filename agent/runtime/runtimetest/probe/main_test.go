package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	for args, want := range map[string][][]string{
		"":                       nil,
		"idle":                   {{"idle"}},
		"write a b then idle":    {{"write", "a", "b"}, {"idle"}},
		"then then exit 3 then ": {{"exit", "3"}},
	} {
		if got := split(strings.Fields(args)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %v, want %v", args, got, want)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for _, step := range [][]string{{"dance"}, {"exit"}, {"exit", "x"}, {"write", "a"}, {"fill", "much"}, {"burn", "1", "x", "y"}, {"fork", "x", "y"}, {"read", "/does/not/exist"}} {
		if err := run(step[0], step[1:]); err == nil {
			t.Errorf("%v works", step)
		}
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "f"), filepath.Join(dir, "l")
	for _, step := range [][]string{{"write", file, "text"}, {"link", "f", link}, {"who", filepath.Join(dir, "w")}, {"env", filepath.Join(dir, "e")}} {
		if err := run(step[0], step[1:]); err != nil {
			t.Errorf("%v: %v", step, err)
		}
	}
	if got, err := os.ReadFile(link); err != nil || string(got) != "text" {
		t.Errorf("the file holds %q, %v", got, err)
	}
}
