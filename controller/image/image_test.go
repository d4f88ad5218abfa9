package image

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestArgv(t *testing.T) {
	t.Parallel()
	values := map[string]string{"JAR": "my server.jar", "EVIL": "$(rm -rf /); {{JAR}}"}
	for name, c := range map[string]struct {
		d    Definition
		want []string
	}{
		"none keeps the image's":             {Definition{}, []string{}},
		"blank line too":                     {Definition{CommandLine: "  "}, []string{}},
		"words":                              {Definition{Command: []string{"java", "-jar", "{{JAR}}"}}, []string{"java", "-jar", "my server.jar"}},
		"a value stays one word":             {Definition{CommandLine: "java -jar {{JAR}}"}, []string{"java", "-jar", "my server.jar"}},
		"quotes":                             {Definition{CommandLine: `run "a b" 'c d'`}, []string{"run", "a b", "c d"}},
		"a value is no template":             {Definition{CommandLine: "echo {{EVIL}}"}, []string{"echo", "$(rm -rf /); {{JAR}}"}},
		"an unknown name stays":              {Definition{CommandLine: "echo {{NOBODY}}"}, []string{"echo", "{{NOBODY}}"}},
		"spaces inside the braces":           {Definition{CommandLine: "echo {{ JAR }}"}, []string{"echo", "my server.jar"}},
		"a shell line reads the environment": {Definition{CommandLine: "cd x && run {{EVIL}}"}, []string{"sh", "-c", "cd x && run ${EVIL}"}},
		"an assignment needs a shell":        {Definition{CommandLine: "A=1 run"}, []string{"sh", "-c", "A=1 run"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.d.Argv(values)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Fatalf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]wire.Stop{
		"": {GraceSeconds: 10}, "stop": {Command: "stop", GraceSeconds: 10}, "^C": {Signal: "SIGINT", GraceSeconds: 10},
		"^^C": {Signal: "SIGINT", GraceSeconds: 10}, "^c": {Signal: "SIGINT", GraceSeconds: 10}, "^SIGKILL": {Signal: "SIGKILL", GraceSeconds: 10},
		"say bye; stop": {Command: "say bye; stop", GraceSeconds: 10},
	} {
		if got, err := (Definition{StopCommand: command}).Stop(); err != nil || got != want {
			t.Errorf("%q: %+v, %v", command, got, err)
		}
	}
	if got, err := (Definition{StopGraceSeconds: 60}).Stop(); err != nil || got.GraceSeconds != 60 {
		t.Errorf("the image's grace time is lost: %+v, %v", got, err)
	}
	for _, bad := range []string{"stop\nrm", "^SIG KILL", "^SIG"} {
		if _, err := (Definition{StopCommand: bad}).Stop(); !problem.Is(err, problem.Validation) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestValuesAndEnvironment(t *testing.T) {
	t.Parallel()
	d := Definition{
		Env:       []string{"START=java -Xmx{{HEAP}} -jar x", "MODE=image", "PATH=/bin"},
		Variables: []Variable{{Name: "HEAP", Default: "1G"}, {Name: "MODE"}, {Name: "MUST", Required: true}},
	}
	r, err := d.Render(map[string]string{"MUST": "{{HEAP}}\nline two", "MODE": "mine", "Z": "last", "A": "=x="}, At{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"START=java -Xmx1G -jar x", "MODE=mine", "PATH=/bin", "HEAP=1G", "MUST={{HEAP}}\nline two", "A==x=", "Z=last"}
	if !reflect.DeepEqual(r.Env, want) {
		t.Fatalf("got  %q\nwant %q", r.Env, want)
	}
}

func TestBadValues(t *testing.T) {
	t.Parallel()
	d := Definition{Variables: []Variable{{Name: "MUST", Required: true}}}
	for name, given := range map[string]map[string]string{
		"required and absent": {}, "required and empty": {"MUST": ""}, "no name": {"MUST": "x", "": "x"}, "= in the name": {"MUST": "x", "A=B": "x"},
		"newline in the name": {"MUST": "x", "A\nB": "x"}, "NUL in the value": {"MUST": "a\x00b"}, "too large": {"MUST": strings.Repeat("x", 33<<10)},
		"braces in the name": {"MUST": "x", "{{A}}": "x"},
	} {
		if _, err := d.Values(given); !problem.Is(err, problem.Validation) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func parseClassic(text []byte) (Image, error) {
	r, err := classicReader{}.Read("", text)
	return r.Image, err
}

const newer = `{"Name":"Paper","Description":"d","Author":"a@example.test","AuthorName":"a","Image":"java:21","AltImages":["java:17","java:21"],
	"Cmd":"","Env":["START=java -jar server.jar"],"StopCommand":"stop","StartedMessage":"Done","features":["eula"],
	"Scripts":{"Install":[{"Uri":"https://example.test/{{Version}}.jar","Path":"server.jar"}]},
	"Variables":{"Version":{"type":"text","default":"1.21","required":true},"Alpha":{"type":"text","default":5,"required":false}},"Meta":{"Version":2}}`

func TestParseClassic(t *testing.T) {
	t.Parallel()
	i, err := parseClassic([]byte("\xef\xbb\xbf" + newer))
	if err != nil {
		t.Fatal(err)
	}
	want := Definition{
		Source:      &Source{Format: FormatClassic, Name: "Paper"},
		Description: "d", Author: "a@example.test", AuthorName: "a", References: []string{"java:21", "java:17"}, Env: []string{"START=java -jar server.jar"},
		StopCommand: "stop", ReadyLine: "Done", Features: []string{"eula"}, Install: []Download{{URI: "https://example.test/{{Version}}.jar", Path: "server.jar"}},
		Variables: []Variable{{Name: "Version", Type: "text", Default: "1.21", Required: true}, {Name: "Alpha", Type: "text", Default: "5"}}, Release: "2",
	}
	if i.Name != "Paper" || !reflect.DeepEqual(i.Definition, want) {
		t.Fatalf("got %+v", i.Definition)
	}
	out, err := json.Marshal(i.ToClassic())
	if err != nil {
		t.Fatal(err)
	}
	again, err := parseClassic(out)
	if err != nil || !reflect.DeepEqual(again, i) {
		t.Fatalf("out and in again changed it: %+v, %v\n%s", again, err, out)
	}
}

func TestParseClassicShapes(t *testing.T) {
	t.Parallel()
	older, err := parseClassic([]byte(`{"Name":"Old","Image":"x:1","Cmd":["a","b c"],"Scripts":{"install":{"URL":"https://example.test/f.zip","renameto":"g.zip"}},
		"ConfigFilePath":"server.properties","ConfigFileContent":"port=1","Variables":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(older.Command, []string{"a", "b c"}) || older.ConfigFile.Content != "port=1" ||
		!reflect.DeepEqual(older.Install, []Download{{URI: "https://example.test/f.zip", Path: "g.zip"}}) {
		t.Fatalf("got %+v", older.Definition)
	}
	if out, _ := json.Marshal(older.ToClassic()); !strings.Contains(string(out), `"Cmd":["a","b c"]`) {
		t.Fatalf("the list became something else: %s", out)
	}
}

func TestParseClassicRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                           "this is not JSON",
		"{\n\"Name\": \"x\",\n}":     "this is not JSON: line 3",
		"<html>":                     "this is not JSON: line 1",
		`[]`:                         "this is not a classic image",
		`{"Name":"x"}`:               "at least Name and Image",
		`{"Name":5,"Image":"x"}`:     "Name must be text, not number",
		`{"Name":"x","Image":"x y"}`: "not the name of a container image",
		`{"Name":"x","Image":"x","Env":["novalue"]}`:                "NAME=value",
		`{"Name":"x","Image":"x","Variables":{"A":{"default":{}}}}`: "Variables.A",
		`{"Name":"x","Image":"x","Variables":{"A=B":{}}}`:           "no name of a variable",
		`{"Name":"x","Image":"x","StopCommand":"a\nb"}`:             "one line",
	} {
		if _, err := parseClassic([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestWellKnownImagesAreSound(t *testing.T) {
	t.Parallel()
	for _, i := range wellKnown() {
		if err := i.check(); err != nil {
			t.Errorf("%s: %v", i.Name, err)
		}
	}
}
