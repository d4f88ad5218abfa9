package compose_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/image"
	"github.com/berth-panel/berth/controller/image/compose"
	"github.com/berth-panel/berth/shared/problem"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestRead reads each file of testdata and compares what comes of it.
func TestRead(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !(compose.Reader{}).Reads(text) {
				t.Error("it isn't taken for a Compose file")
			}
			got := asJSON(t, text)
			golden := strings.TrimSuffix(path, ".yaml") + ".json"
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("it gives\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func asJSON(t *testing.T, text []byte) []byte {
	t.Helper()
	reading, err := compose.Reader{}.Read("compose.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(map[string]any{
		"name": reading.Image.Name, "definition": reading.Image.Definition, "changes": reading.Changes, "ignored": reading.Ignored,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(got, '\n')
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"two services":        {"services:\n  a: {image: x}\n  b: {image: y}\n", "line 1, services: it has 2 services (a, b), and an image is one container: leave one of them, and make an image of each other"},
		"no service":          {"services: {}\n", "services: it has no service"},
		"a build":             {"services:\n  a:\n    build: .\n", "line 3, services.a.build: Berth builds no images: build it, push it to a registry, and name it as image"},
		"no image":            {"services:\n  a:\n    command: x\n", "line 2, services.a: it names no image"},
		"a service of others": {"services:\n  a:\n    image: x\n    extends:\n      file: /etc/passwd\n      service: b\n", "line 4, services.a.extends: it is made of several files; write it as one (docker compose config does)"},
		"files included":      {"include: [other.yaml]\nservices:\n  a: {image: x}\n", "line 1, include: it is made of several files; write it as one (docker compose config does)"},
		"no default":          {"services:\n  a:\n    image: x:${TAG:?which}\n", "${TAG} has no default outside of command, entrypoint and environment: write the value there"},
		"a broken variable":   {"services:\n  a:\n    image: x\n    command: a ${\n", "line 4, services.a.command: \"a ${\" is no text with variables as Compose writes them; a plain $ is $$"},
		"a wrong type":        {"services:\n  a:\n    image: x\n    ports: {a: b}\n", "services.a.ports"},
		"no YAML":             {"services:\n  a: [\n", "line"},
		"a bomb": {"a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n" +
			"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\nservices:\n  a: {image: x, command: *f}\n", ""},
		"itself":    {"services: &s\n  a: *s\n", ""},
		"too large": {"services:\n  a: {image: x}\n#" + strings.Repeat("x", 257<<10), "it is larger than 256 KiB"},
	} {
		_, err := compose.Reader{}.Read("c.yaml", []byte(c.text))
		if !problem.Is(err, problem.Validation) {
			t.Errorf("%s: %v, want a VALIDATION_ERROR", name, err)
			continue
		}
		if says := problem.From(err).Message; !strings.HasPrefix(says, "this Compose file can't be used: ") || !strings.Contains(says, c.want) {
			t.Errorf("%s: it says %q, want %q", name, says, c.want)
		}
	}
}

// TestHostileSizes: what would keep the parser busy for minutes is refused or left
// out at once.
func TestHostileSizes(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "      V%d: x\n", i)
	}
	head := "services:\n  a:\n    image: x\n"
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"a range of ports":       {head + "    ports: ['1-65535:1-65535']\n    expose: ['1-65535']\n", true},
		"many ranges of ports":   {head + "    ports:\n" + strings.Repeat("      - '1-65535'\n      - {target: 1, published: '1-65535'}\n", 20), true},
		"a range that is made":   {head + "    ports: ['${A:-1}-${B:-65535}:1-${C:-65535}']\n", true},
		"nested variables":       {head + "    command: " + strings.Repeat("${A:-", 20_000) + "\n", false},
		"many variables":         {head + "    command: \"" + strings.Repeat("${A} ", 40_000) + "\"\n", false},
		"variables in the image": {"services:\n  a:\n    image: \"" + strings.Repeat("${A:-", 20_000) + "\"\n", false},
		"many entries":           {head + "    environment:\n" + many.String(), false},
		"deep lists":             {"services: " + strings.Repeat("[", 50_000), false},
		"deep maps":              {"services: " + strings.Repeat("{a: ", 10_000), false},
	} {
		_, err := compose.Reader{}.Read("", []byte(c.text))
		if c.ok != (err == nil) || err != nil && !problem.Is(err, problem.Validation) {
			t.Errorf("%s: %.300v", name, err)
		}
	}
}

func TestReads(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"services:\n  a:\n    image: x":            true,
		"\ufeffservices:\r\n  a:\r\n":              true,
		"name: x\n\"services\":\n  a: {":           true,
		`{"services": {"a": {"image": "x"}}}`:      true,
		"image: x\nother:\n  services:\n":          false,
		`{"meta": {"version": "PTDL_v2"}}`:         false,
		`{"Name": "x", "Image": "services: here"}`: false,
		"":                                 false,
		"MIT License\n\nsome services: no": false,
	} {
		if got := (compose.Reader{}).Reads([]byte(text)); got != want {
			t.Errorf("%q is taken for one: %v", text, got)
		}
	}
}

// TestOpensNothing: names of files in a file are never opened: what they would
// give is nowhere, and that they aren't there is no error.
func TestOpensNothing(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret.env")
	if err := os.WriteFile(secret, []byte("STOLEN=hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("env_file", func(t *testing.T) {
		t.Parallel()
		text := "services:\n  a:\n    image: x\n    env_file:\n      - " + secret + "\n      - /nowhere/at/all\n    label_file: " + secret + "\n" +
			"secrets:\n  s:\n    file: " + secret + "\nconfigs:\n  c:\n    file: " + secret + "\n"
		got := string(asJSON(t, []byte(text)))
		if strings.Contains(got, "hush") || strings.Contains(got, "STOLEN") {
			t.Errorf("a file was opened: %s", got)
		}
		for _, told := range []string{"services.a.env_file", "services.a.label_file", `"secrets"`, `"configs"`} {
			if !strings.Contains(got, told) {
				t.Errorf("%s is not told: %s", told, got)
			}
		}
	})
	t.Run("the environment of this program", func(t *testing.T) {
		t.Parallel()
		got := string(asJSON(t, []byte("services:\n  a:\n    image: x:${PATH:-1}\n    environment:\n      - HOME\n      - P=${PATH}\n")))
		if os.Getenv("PATH") != "" && strings.Contains(got, os.Getenv("PATH")) || strings.Contains(got, os.Getenv("HOME")+`"`) {
			t.Errorf("the environment of this program is in it: %s", got)
		}
	})
}

// TestIsReader: the catalogue takes it.
func TestIsReader(t *testing.T) {
	t.Parallel()
	var r image.Reader = compose.Reader{}
	if r.Format() != "compose" {
		t.Errorf("it is called %q", r.Format())
	}
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("services: &s\n  a: *s\n"))
	f.Add([]byte("services:\n  a:\n    image: ${A:-${B:-x}}\n    command: $$x ${A+y} ${A?}\n    ports: ['1-5:1-5', '::1:2:3']\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		reading, err := compose.Reader{}.Read("c.yaml", text)
		if err != nil {
			if !problem.Is(err, problem.Validation) {
				t.Fatalf("%v is no VALIDATION_ERROR", err)
			}
			return
		}
		if len(reading.Image.References) != 1 || reading.Image.Name == "" {
			t.Fatalf("it gives %+v", reading.Image)
		}
		if _, err := json.Marshal(reading.Image.Definition); err != nil {
			t.Fatal(err)
		}
	})
}
