package image

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

// TestQuirksRendered renders each file of testdata/render, which has one quirk or
// several of what people have, to a text that a person can read.
func TestQuirksRendered(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/render/*")
	if err != nil || len(files) == 0 {
		t.Fatal("there is nothing to render", err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, ".rendered") {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := rendered(t, file, text)
			if strings.HasSuffix(file, ".yaml") { // another of its start commands
				got += rendered(t, file, text, "With a debugger")
			}
			golden := file + ".rendered"
			if *updateGolden {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil || got != string(want) {
				t.Errorf("%s is not what it was (go test -run Quirks -update writes it):\n%s", golden, got)
			}
		})
	}
}

func rendered(t *testing.T, file string, text []byte, startup ...string) string {
	t.Helper()
	var reader Reader = classicReader{}
	if (eggReader{}).Reads(text) {
		reader = eggReader{}
	}
	read, err := reader.Read(file, text)
	if err != nil {
		t.Fatal(err)
	}
	at := example()
	at.Startup = strings.Join(startup, "")
	d := read.Image.Definition
	r, err := d.Render(nil, at)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	section := func(name string, lines ...string) {
		if len(lines) > 0 {
			fmt.Fprintf(&b, "== %s\n%s\n", name, strings.Join(lines, "\n"))
		}
	}
	section("image", read.Image.Name+" ("+read.Format+")", strings.Join(d.References, " | "), "volume "+d.MountPath())
	section("changed", read.Changes...)
	section("ignored", read.Ignored...)
	section("environment", r.Env...)
	if len(r.Command) == 0 {
		section("command", "the container image's own")
	} else {
		section("command", fmt.Sprintf("%q", r.Command))
	}
	stop, err := d.Stop()
	if err != nil {
		t.Fatal(err)
	}
	section("stop", fmt.Sprintf("command %q, signal %q", stop.Command, stop.Signal))
	section("ready", d.Ready().Lines...)
	section("files", patchLines(r)...)
	section("install", installLines(r)...)
	section("masked", r.Install.Secrets...)
	section("asked of values", asked(read.Image)...)
	return b.String()
}

func patchLines(r Rendered) []string {
	var out []string
	for _, p := range r.Patches {
		out = append(out, fmt.Sprintf("%s (%s)", p.Path, p.Parser))
		for _, s := range p.Set {
			line := fmt.Sprintf("  %s = %s", s.Match, s.Value)
			if s.If != "" {
				line += "   where it is " + s.If
			}
			out = append(out, line)
		}
	}
	return out
}

func installLines(r Rendered) []string {
	var out []string
	for _, d := range r.Install.Downloads {
		out = append(out, d.URL+" -> "+d.Path)
	}
	for _, name := range []string{"primaryPort", "containerName", "timestamp", "randomString"} {
		if v, there := r.Install.Replace[name]; there {
			out = append(out, "{{"+name+"}} in what came: "+v)
		}
	}
	if s := r.Install.Script; s != nil {
		out = append(out, fmt.Sprintf("%s runs, in %s:", s.Entrypoint, s.Image), fmt.Sprintf("%q", s.Text))
	}
	return out
}

func asked(i Image) []string {
	var out []string
	schema := i.SchemaFor(false)
	for _, name := range schema.Order {
		var asks []string
		for _, a := range schema.Properties[name].AskedFor {
			asks = append(asks, a.Message)
		}
		line := name + ": " + strings.Join(asks, "; ")
		if err := i.CheckRules(nil, func(asked string) bool { return asked == name }); err != nil {
			line += "   (its default: " + err.Error() + ")"
		}
		out = append(out, line)
	}
	return out
}
