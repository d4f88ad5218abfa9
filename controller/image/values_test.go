package image

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// TestCVE202652855 puts templates into everything that people write. Elsewhere a
// value that was looked at again read the node's token.
func TestCVE202652855(t *testing.T) {
	t.Parallel()
	hostile := []string{"{{SECRET}}", "{{server.uuid}}", "{{env.SECRET}}", "{{ config.docker.interface }}", "${SECRET}", "$(id)", "`id`", "{{{{SECRET}}}}", "{{A}}{{B}}"}
	for _, launch := range []Launch{LaunchCommand, LaunchEntrypoint} {
		for _, value := range hostile {
			d := Definition{
				Launch: launch, Env: []string{"MERGED=<{{A}}>{{B}}"}, CommandLine: "run {{A}} {{B}}",
				Variables: []Variable{{Name: "A"}, {Name: "B", Default: value}, {Name: "SECRET", Default: "the-secret", Secret: true}},
				Install:   []Download{{URI: "https://example.test/{{A}}", Path: "{{B}}"}},
				Patches: []Patch{{Path: "{{A}}.json", Parser: wire.PatchJSON, Set: []PatchSet{
					{Match: "a.{{A}}", Value: "{{A}}|{{env.B}}|{{server.environment.A}}", If: "{{A}}"}}}},
			}
			at := example()
			at.Name, at.Startup = value, value
			r, err := d.Render(map[string]string{"A": value, "UNDECLARED": value}, at)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"MERGED=<" + value + ">" + value, "A=" + value, "B=" + value, "UNDECLARED=" + value} {
				if !slices.Contains(r.Env, want) {
					t.Errorf("%s: the environment has no %q: %q", launch, want, r.Env)
				}
			}
			if got := string(r.Patches[0].Set[0].Value); got != jsonText(value+"|"+value+"|"+value) {
				t.Errorf("%s: the file gets %s", launch, got)
			}
			if s := r.Patches[0].Set[0]; s.Match != "a."+inPath.Replace(value) || s.If != value || r.Patches[0].Path != value+".json" {
				t.Errorf("%s: %+v", launch, s)
			}
			if got := r.Install.Downloads[0]; got.URL != "https://example.test/"+value || got.Path != value {
				t.Errorf("%s: %+v", launch, got)
			}
			whole, err := json.Marshal([]any{r.Command, r.Patches, r.Install.Downloads, r.Env})
			if err != nil || strings.Count(string(whole), "the-secret") != 1 { // in its own variable
				t.Errorf("%s: the secret is read by %q: %s", launch, value, whole)
			}
			if launch == LaunchCommand && !reflect.DeepEqual(r.Command, []string{"run", value, value}) {
				t.Errorf("the command is %q", r.Command)
			}
			if launch == LaunchEntrypoint && !slices.Contains(r.Env, "STARTUP=run ${A} ${B}") {
				t.Errorf("the start line holds more than names: %q", r.Env)
			}
		}
	}
}

func jsonText(text string) string { return string(encoded(text)) }

func TestValuesAreHeldAgainstTheRules(t *testing.T) {
	t.Parallel()
	d := Definition{Variables: []Variable{
		{Name: "SLOTS", Rules: []string{"required", "integer", "between:1,64"}}, {Name: "NAME", Rules: []string{"string", "max:3"}, Default: "long"},
		{Name: "MODE", Rules: []string{"in:a,b", "frobnicate"}}, {Name: "ON", Type: "boolean"}, {Name: "COUNT", Type: "number", Required: true, Default: "1"},
	}}
	_, err := d.Values(map[string]string{"MODE": "c", "ON": "perhaps"})
	want := []problem.Field{
		{Field: "variables.SLOTS", Message: "it needs a value", Rule: "required"},
		{Field: "variables.NAME", Message: "at most 3 characters", Rule: "max_text", Params: map[string]string{"than": "3"}},
		{Field: "variables.MODE", Message: "one of a, b", Rule: "in", Params: map[string]string{"values": "a, b"}},
		{Field: "variables.ON", Message: "it must be true or false, or 1 or 0", Rule: "boolean"},
	}
	if p := problem.From(err); p == nil || p.Code != problem.Validation || !reflect.DeepEqual(p.Fields, want) {
		t.Fatalf("got %+v", p)
	}
	got, err := d.Values(map[string]string{"SLOTS": "8", "NAME": "", "MODE": "a", "X": "y"})
	if err != nil || !reflect.DeepEqual(got, map[string]string{"SLOTS": "8", "NAME": "", "MODE": "a", "COUNT": "1", "X": "y"}) {
		t.Fatalf("got %v, %v", got, err)
	}
	if u := d.Unheld(); len(u) != 1 || !strings.HasPrefix(u[0], "variables.MODE.rules: frobnicate: ") {
		t.Errorf("what is not held: %q", u)
	}
	if err := d.check(); err != nil && strings.Contains(err.Error(), "variables") {
		t.Errorf("a default that breaks its rule is no reason to refuse an image: %v", err)
	}
}

func TestAChangeChecksWhatItNames(t *testing.T) {
	t.Parallel()
	d := Definition{Variables: []Variable{{Name: "NEW", Rules: []string{"required"}}, {Name: "A", Rules: []string{"max:2"}}}}
	got, err := d.Merge(map[string]string{"A": "too long by now", "B": "1"}, map[string]string{"B": "2"})
	if err != nil || !reflect.DeepEqual(got, map[string]string{"A": "too long by now", "B": "2"}) {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := d.Merge(nil, map[string]string{"A": "abc"}); !problem.Is(err, problem.Validation) {
		t.Errorf("a bad value is taken: %v", err)
	}
	if _, err := d.Merge(nil, map[string]string{"NEW": ""}); !problem.Is(err, problem.Validation) {
		t.Errorf("what is required is taken away: %v", err)
	}
}

func TestCustomersSetWhatTheyMay(t *testing.T) {
	t.Parallel()
	d := Definition{Variables: []Variable{{Name: "FREE"}, {Name: "LOCKED", Locked: true, Default: "x"}, {Name: "HIDDEN", Hidden: true}, {Name: "SET", Locked: true}}}
	was := map[string]string{"SET": "1"}
	if err := d.CheckCustomer(was, map[string]string{"FREE": "y", "LOCKED": "x", "SET": "1"}); err != nil {
		t.Errorf("a form that was sent as it is: %v", err)
	}
	err := d.CheckCustomer(was, map[string]string{"FREE": "y", "LOCKED": "z", "HIDDEN": "", "NOBODY": "", "SET": ""})
	p := problem.From(err)
	var got []string
	if p != nil {
		for _, f := range p.Fields {
			got = append(got, f.Field+" "+f.Rule)
		}
	}
	if !slices.Equal(got, []string{"variables.HIDDEN unknown", "variables.LOCKED locked", "variables.NOBODY unknown", "variables.SET locked"}) {
		t.Errorf("got %q", got)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	i := Image{Name: "x", Definition: Definition{
		Env:       []string{"URL=postgres://{{USER}}:{{PASS}}@db", "PIN={{SHORT}}"},
		Variables: []Variable{{Name: "USER", Default: "joe"}, {Name: "PASS", Type: "password", Default: "hunter22"}, {Name: "SHORT", Secret: true, Default: "12"}, {Name: "H", Hidden: true, Default: "hidden value"}},
	}}
	r, err := i.Render(nil, example())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r.Install.Secrets, []string{"hunter22", "12"}) {
		t.Errorf("secrets for the agent: %q", r.Install.Secrets)
	}
	want := []string{"URL=postgres://joe:********@db", "PIN=********", "USER=joe", "PASS=********", "SHORT=********", "H=hidden value", "PRIMARY_PORT=25565"}
	if got := i.MaskEnv(r.Env, false); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	want[5] = "H=********"
	if got := i.MaskEnv(r.Env, true); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	shown := i.View()
	if shown.Variables[1].Default != "" || shown.Variables[2].Default != "" || shown.Variables[3].Default == "" || i.Variables[1].Default == "" {
		t.Errorf("shown: %+v", shown.Variables)
	}
	if customer := i.Shown(true); len(customer.Variables) != 3 {
		t.Errorf("a customer sees %+v", customer.Variables)
	}
	back := shown.Definition
	back.keepSecrets(i.Definition)
	if !reflect.DeepEqual(back, i.Definition) {
		t.Errorf("an edit of what was shown lost something: %+v", back.Variables)
	}
	schema := i.SchemaFor(true)
	text, _ := json.Marshal(schema)
	if strings.Contains(string(text), "hunter22") || strings.Contains(string(text), "hidden") || !schema.Properties["PASS"].WriteOnly || !slices.Equal(schema.Order, []string{"USER", "PASS", "SHORT"}) {
		t.Errorf("the schema: %s", text)
	}
}

func TestSchemaOfAnImage(t *testing.T) {
	t.Parallel()
	i := Image{Name: "Game", Definition: Definition{Variables: []Variable{
		{Name: "B", Label: "Slots", Rules: []string{"required", "integer"}}, {Name: "A", Locked: true, Default: "x", Description: "d"}, {Name: "C", Hidden: true}}}}
	text, err := json.Marshal(i.SchemaFor(true))
	const want = `{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"Game","type":"object","properties":{` +
		`"A":{"type":"string","title":"A","description":"d","default":"x","readOnly":true},` +
		`"B":{"type":"string","title":"Slots","default":"","pattern":"^[ \\t\\r\\n\\v\\f]*[+-]?(0|[1-9]\\d*)[ \\t\\r\\n\\v\\f]*$","x-numeric":true,"x-rules":["required","integer"],` +
		`"x-asks":[{"rule":"required","message":"it needs a value"},{"rule":"integer","message":"it must be a whole number"}]}},` +
		`"required":["B"],"additionalProperties":false,"x-order":["B","A"]}`
	if err != nil || string(text) != want {
		t.Errorf("got  %s, %v\nwant %s", text, err, want)
	}
	if all := i.SchemaFor(false); len(all.Properties) != 3 || all.Properties["A"].ReadOnly || !all.Additional {
		t.Errorf("staff: %+v", all)
	}
}

// TestNamesThatNoShellKnows: two names that look alike for a shell stay apart.
func TestNamesThatNoShellKnows(t *testing.T) {
	t.Parallel()
	d := Definition{Launch: LaunchEntrypoint, CommandLine: "run {{a-b}} {{a.b}} {{a-b}} {{1}} {{no-such}}",
		Variables: []Variable{{Name: "a-b", Default: "first"}, {Name: "a.b", Default: "second"}, {Name: "1", Default: "third"}, {Name: "BERTH_1", Default: "mine"}}}
	r, err := d.Render(nil, At{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"STARTUP=run ${BERTH_A_B} ${BERTH_A_B_2} ${BERTH_A_B} ${BERTH_1_2} ", "BERTH_A_B=first", "BERTH_A_B_2=second", "BERTH_1=mine", "BERTH_1_2=third"} {
		if !slices.Contains(r.Env, want) {
			t.Errorf("no %q in %q", want, r.Env)
		}
	}
}

func TestStartCommandsToChoose(t *testing.T) {
	t.Parallel()
	i := Image{Name: "x", Definition: Definition{Commands: []Startup{{"one", "a {{V}}"}, {"two", "b | {{V}}"}}, Variables: []Variable{{Name: "V", Default: "v"}}}}
	for name, want := range map[string][]string{"": {"a", "v"}, "one": {"a", "v"}, "two": {"sh", "-c", "b | ${V}"}, "gone": {"a", "v"}} {
		if r, err := i.Render(nil, At{Startup: name}); err != nil || !reflect.DeepEqual(r.Command, want) {
			t.Errorf("%q: %q, %v", name, r.Command, err)
		}
	}
	if i.HasStartup("two") != nil || i.HasStartup("") != nil || !problem.Is(i.HasStartup("gone"), problem.Validation) {
		t.Error("the choice is not checked")
	}
}

func TestTypesOfReplacements(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		launch Launch
		parser wire.PatchParser
		value  any
		want   string
	}{
		{LaunchEntrypoint, wire.PatchJSON, "{{N}}", "25565"}, {LaunchEntrypoint, wire.PatchJSON, "8080", "8080"}, {LaunchCommand, wire.PatchJSON, "8080", `"8080"`},
		{LaunchCommand, wire.PatchYAML, "{{N}}", "25565"}, {LaunchEntrypoint, wire.PatchINI, "{{N}}", `"25565"`}, {LaunchEntrypoint, wire.PatchJSON, "{{ZERO}}", `"007"`},
		{LaunchEntrypoint, wire.PatchJSON, "{{BIG}}", `"99999999999999999999"`}, {LaunchEntrypoint, wire.PatchJSON, true, "true"}, {LaunchEntrypoint, wire.PatchJSON, nil, "null"},
		{LaunchEntrypoint, wire.PatchJSON, 1.5, "1.5"}, {LaunchEntrypoint, wire.PatchYAML, "true", `"true"`}, {LaunchEntrypoint, wire.PatchJSON, "<{{LINES}}>", `"<a\nb>"`},
		{LaunchEntrypoint, wire.PatchFile, "x={{LINES}}", `"x=a b"`},
	} {
		d := Definition{Launch: c.launch, Patches: []Patch{{Path: "f", Parser: c.parser, Set: []PatchSet{{Match: "m", Value: c.value}}}},
			Variables: []Variable{{Name: "N", Default: "25565"}, {Name: "ZERO", Default: "007"}, {Name: "BIG", Default: "99999999999999999999"}, {Name: "LINES", Default: "a\nb"}}}
		r, err := d.Render(nil, At{})
		if err != nil || string(r.Patches[0].Set[0].Value) != c.want {
			t.Errorf("%s %s %v: %s, %v; want %s", c.launch, c.parser, c.value, r.Patches[0].Set[0].Value, err, c.want)
		}
	}
}

func TestPathsOfPatchesStayInTheVolume(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{"../../etc/passwd": "etc/passwd.cfg", "/abs": "abs.cfg", `..\..\x`: "x.cfg", "a/./b/../c": "a/c.cfg", "a\x00b": "ab.cfg"} {
		d := Definition{Patches: []Patch{{Path: "{{P}}.cfg", Parser: wire.PatchFile}}, Variables: []Variable{{Name: "P", Default: value}}}
		if r, err := d.Render(nil, At{}); err != nil || r.Patches[0].Path != want {
			t.Errorf("%q: %q, %v", value, r.Patches[0].Path, err)
		}
	}
}

func TestOldValuesAreNoExpressions(t *testing.T) {
	t.Parallel()
	d := Definition{Variables: []Variable{{Name: "V", Default: "a.b$1"}}, Patches: []Patch{{Path: "f", Parser: wire.PatchYAML, Set: []PatchSet{{Match: "m", Value: "$1{{V}}", If: "regex:^({{V}})$"}}}}}
	r, err := d.Render(nil, At{})
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Patches[0].Set[0]; s.If != `regex:^(a\.b\$1)$` || string(s.Value) != `"$1a.b$$1"` {
		t.Errorf("%+v %s", s, s.Value)
	}
}
