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
