package image

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// patched is the value that one set has with what somebody wrote.
func patched(t *testing.T, parser wire.PatchParser, s PatchSet, wrote string) string {
	t.Helper()
	d := Definition{Variables: []Variable{{Name: "NAME"}}, Patches: []Patch{{Path: "f", Parser: parser, Set: []PatchSet{s}}}}
	r, err := d.Render(map[string]string{"NAME": wrote}, example())
	if err != nil {
		t.Fatal(err)
	}
	var text string
	if err := json.Unmarshal(r.Patches[0].Set[0].Value, &text); err != nil {
		t.Fatal(err)
	}
	return text
}

// TestValuesMakeNoLines: of a file that is read by the line, a value stays in its own,
// also where an expression chooses what is replaced.
func TestValuesMakeNoLines(t *testing.T) {
	t.Parallel()
	for _, condition := range []string{"", "old", "regex:^.*$"} {
		for _, wrote := range []string{"x\nop=me", "x\r\nop=me", "x\rop=me"} {
			if got := patched(t, wire.PatchFile, PatchSet{Match: "name=", Value: "name={{NAME}}", If: condition}, wrote); got != "name=x op=me" {
				t.Errorf("%q if %q gives %q", wrote, condition, got)
			}
		}
	}
	if got := patched(t, wire.PatchFile, PatchSet{Match: "name=", Value: "name=$1{{NAME}}", If: "regex:(.*)"}, "$1\n$2"); got != "name=$1$$1 $$2" {
		t.Errorf("groups: %q", got)
	}
}

// TestValuesMakeNoAttributes: what a value sets in XML, text or an attribute, is the
// image author's word.
func TestValuesMakeNoAttributes(t *testing.T) {
	t.Parallel()
	const attribute = "[admin='true']"
	if got := patched(t, wire.PatchXML, PatchSet{Match: "a.b", Value: "{{NAME}}"}, attribute); got != " "+attribute {
		t.Errorf("a value became an attribute: %q", got)
	}
	if got := patched(t, wire.PatchXML, PatchSet{Match: "a.b", Value: "{{NAME}}"}, "plain"); got != "plain" {
		t.Errorf("%q", got)
	}
	if got := patched(t, wire.PatchXML, PatchSet{Match: "a.b", Value: "[name='{{NAME}}']"}, "x"); got != "[name='x']" {
		t.Errorf("the author's attribute is gone: %q", got)
	}
}

// TestAmplifiedValues: an image that names a long value very often doesn't fill the
// controller's memory, and says what is wrong.
func TestAmplifiedValues(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("{{NAME}}", 8000) // times 30 KiB, and ten of those
	d := Definition{Variables: []Variable{{Name: "NAME"}}, CommandLine: "run"}
	for range 10 {
		d.Patches = append(d.Patches, Patch{Path: "f", Parser: wire.PatchFile, Set: []PatchSet{{Match: "x", Value: many}}})
	}
	if _, err := d.Render(map[string]string{"NAME": strings.Repeat("x", 30<<10)}, example()); !problem.Is(err, problem.Validation) {
		t.Errorf("%v", err)
	}
	if _, err := d.Render(map[string]string{"NAME": "x"}, example()); err != nil {
		t.Error(err)
	}
	if r, err := d.Render(map[string]string{"NAME": strings.Repeat("x", 1<<10)}, example()); err == nil {
		t.Errorf("80 MB of texts came out: %d patches", len(r.Patches))
	}
}

// TestWhatIsKeptHidesWhatIsHidden: fields of a file that mean nothing here name its
// variables too.
func TestWhatIsKeptHidesWhatIsHidden(t *testing.T) {
	t.Parallel()
	kept := map[string]any{"meta": "x", "variables": map[string]any{"TOKEN": map[string]any{"hint": "the token is 4711"}}}
	i := Image{Name: "x", Definition: Definition{Variables: []Variable{{Name: "TOKEN", Hidden: true}}, Kept: kept}}
	for customer, want := range map[bool]bool{true: false, false: true} {
		text, err := json.Marshal(i.Shown(customer))
		if err != nil || strings.Contains(string(text), "4711") != want {
			t.Errorf("customer %v: %s, %v", customer, text, err)
		}
	}
	if kept["variables"] == nil {
		t.Error("the image that is kept was changed")
	}
}

// TestValuesAreNoPaths: in a match a value is a part of a key, whatever means something
// there.
func TestValuesAreNoPaths(t *testing.T) {
	t.Parallel()
	for parser, want := range map[wire.PatchParser]string{
		wire.PatchYAML: `servers.\*\.\[0\]\~1\'\"\\.port`, wire.PatchINI: `servers.\*\.\[0\]\~1\'\"\\.port`,
		wire.PatchFile: `servers.*.[0]~1'"\.port`, wire.PatchProperties: `servers.*.[0]~1'"\.port`,
	} {
		d := Definition{Variables: []Variable{{Name: "NAME"}}, Patches: []Patch{{Path: "f", Parser: parser, Set: []PatchSet{{Match: "servers.{{NAME}}.port", Value: 1}}}}}
		r, err := d.Render(map[string]string{"NAME": `*.[0]~1'"\`}, example())
		if err != nil || r.Patches[0].Set[0].Match != want {
			t.Errorf("%s: %s, %v", parser, r.Patches[0].Set[0].Match, err)
		}
	}
}

// TestEveryTextCanNameTheNode: wherever an image names its node, an instance that
// moves is told of the new one.
func TestEveryTextCanNameTheNode(t *testing.T) {
	t.Parallel()
	const node = "{{config.docker.interface}}"
	for name, d := range map[string]Definition{
		"path":       {Patches: []Patch{{Path: node}}},
		"match":      {Patches: []Patch{{Path: "f", Set: []PatchSet{{Match: "a." + node, Value: true}}}}},
		"value":      {Patches: []Patch{{Path: "f", Set: []PatchSet{{Match: "a", Value: node}}}}},
		"condition":  {Patches: []Patch{{Path: "f", Set: []PatchSet{{Match: "a", If: node}}}}},
		"entrypoint": {Entrypoint: []string{"run", node}},
		"command":    {Command: []string{node}}, "line": {CommandLine: node}, "choice": {Commands: []Startup{{Line: "x"}, {Line: node}}}, "env": {Env: []string{"A=" + node}},
		"download": {Install: []Download{{URI: node}}},
	} {
		if !d.NamesNode() {
			t.Errorf("the %s isn't looked at", name)
		}
	}
	if (Definition{CommandLine: "{{server.name}}"}).NamesNode() {
		t.Error("everything names it")
	}
}

// TestShortSecrets: what is too short to be looked for in texts is hidden with the
// whole text that an image puts it in.
func TestShortSecrets(t *testing.T) {
	t.Parallel()
	d := Definition{Launch: LaunchEntrypoint, CommandLine: "run {{a-b}}", Env: []string{"URL=x://{{env.PIN}}@y", "PLAIN=x17y"},
		Variables: []Variable{{Name: "PIN", Secret: true}, {Name: "a-b", Secret: true}, {Name: "LEVEL"}}}
	r, err := d.Render(map[string]string{"PIN": "17", "a-b": "9", "LEVEL": "17"}, example())
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.Join(d.MaskEnv(r.Env, false), "\n")
	for _, want := range []string{"URL=" + Masked, "PLAIN=x17y", "PIN=" + Masked, "a-b=" + Masked, "BERTH_A_B=" + Masked, "LEVEL=17"} {
		if !strings.Contains(shown+"\n", want+"\n") {
			t.Errorf("no %s in\n%s", want, shown)
		}
	}
}

// TestLockedSecretsAreNotGuessed: who may not change a secret isn't told whether he
// has found it.
func TestLockedSecretsAreNotGuessed(t *testing.T) {
	t.Parallel()
	d := Definition{Variables: []Variable{{Name: "SEEN", Locked: true, Default: "x"}, {Name: "SECRET", Locked: true, Secret: true, Default: "hunter2"}, {Name: "HIDDEN", Hidden: true, Default: "h"}}}
	for value, ok := range map[string]bool{"x": true, "y": false} {
		if err := d.CheckCustomer(nil, map[string]string{"SEEN": value}); (err == nil) != ok {
			t.Errorf("%s: %v", value, err)
		}
	}
	for _, name := range []string{"SECRET", "HIDDEN"} {
		right, wrong := d.CheckCustomer(nil, map[string]string{name: d.Complete(nil)[name]}), d.CheckCustomer(nil, map[string]string{name: "wrong"})
		if right == nil || wrong == nil || right.Error() != wrong.Error() {
			t.Errorf("%s: the right value gives %v, a wrong one %v", name, right, wrong)
		}
	}
}
