package egg_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/image/egg"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Each quirk of real eggs, in an egg of our own: what is read of it stands beside
// it, for people to look at.
func TestQuirks(t *testing.T) {
	t.Parallel()
	for _, path := range files(t, "testdata/*.json", "testdata/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !egg.Is(text) {
				t.Error("it is said to be none")
			}
			e, err := egg.Read(text)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, path+".txt", show(e))
			same(t, path, e)
		})
	}
}

// What can't be used says where and why.
func TestRefused(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, path := range files(t, "testdata/refused/*") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !egg.Is(text) {
			t.Errorf("%s is said to be no egg: nobody would look at what is wrong with it", path)
		}
		_, err = egg.Read(text)
		if err == nil {
			t.Errorf("%s is taken", path)
		}
		fmt.Fprintf(&b, "%s\n    %v\n", filepath.Base(path), err)
	}
	golden(t, "testdata/refused.txt", b.String())
}

// A byte order mark and the ends of lines of another system change nothing.
func TestLineEndsAndMark(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"testdata/plain.json", "testdata/plcn_v2.yaml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := egg.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		other := "\xef\xbb\xbf" + strings.ReplaceAll(string(text), "\n", "\r\n")
		got, err := egg.Read([]byte(other))
		if err != nil || show(got) != show(want) || !egg.Is([]byte(other)) {
			t.Errorf("%s: %v\n%s", path, err, show(got))
		}
	}
}

func TestNoEggs(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "{}", "[]", "5", "MIT License\n\nPermission is hereby granted", `{"name":"x","version":"1.0.0","scripts":{"test":"x"}}`,
		"services:\n  web:\n    image: nginx\n", `{"Name":"x","Image":"a:1","Cmd":"run","StopCommand":"stop"}`, "name: CI\non: [push]\njobs: {}\n"} {
		if egg.Is([]byte(text)) {
			t.Errorf("%q is said to be an egg", text)
		}
	}
}

func files(t testing.TB, patterns ...string) []string {
	t.Helper()
	var out []string
	for _, p := range patterns {
		found, err := filepath.Glob(p)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v", p, err)
		}
		out = append(out, found...)
	}
	return out
}

// show prints an egg, a line for each thing.
func show(e *egg.Egg) string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("version", "%s", e.Version)
	line("uuid", "%q", e.UUID)
	line("update_url", "%q", e.UpdateURL)
	line("name", "%q", e.Name)
	line("author", "%q", e.Author)
	line("description", "%q", e.Description)
	line("icon", "%.40q", e.Icon)
	line("tags", "%q", e.Tags)
	line("features", "%q", e.Features)
	for _, i := range e.Images {
		line("image", "%q = %q", i.Label, i.Reference)
	}
	for _, c := range e.Commands {
		line("command", "%q = %q", c.Name, c.Line)
	}
	for _, f := range e.Files {
		line("file", "%q by %s", f.Path, f.Parser)
		for _, s := range f.Find {
			line("", "%q if %q = %T %#v", s.Match, s.If, s.Value, s.Value)
		}
	}
	line("done", "%q", e.Done)
	line("stop", "%q", e.Stop)
	if s := e.Script; s != nil {
		line("script", "%s in %s: %q", s.Entrypoint, s.Container, s.Text)
	}
	for _, v := range e.Variables {
		line("variable", "%s = %q (%q, %q) viewable %v, editable %v, type %q, rules %q", v.Env, v.Default, v.Name, v.Description, v.Viewable, v.Editable, v.Type, v.Rules)
	}
	line("kept", "%v", e.Kept)
	line("ignored", "%q", e.Ignored)
	for _, c := range e.Changes {
		line("changed", "%s", c)
	}
	return b.String()
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what is read now; look at the difference, then run the test with -update. Now:\n%s", path, got)
	}
}
