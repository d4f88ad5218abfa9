package patch_test

import (
	"testing"

	"github.com/berth-panel/berth/agent/patch"
	"github.com/berth-panel/berth/shared/wire"
)

// TestEscapedSignsAreLetters: what a "\" stands before is a letter of a key, whatever
// it means elsewhere.
func TestEscapedSignsAreLetters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		parser         wire.PatchParser
		in, match, out string
	}{
		{wire.PatchJSON, `{"s":{"*":1,"b":1}}`, `s.\*`, `{"s":{"*":"v","b":1}}`},
		{wire.PatchJSON, `{"s":{"a.b":1,"a":{"b":1}}}`, `s.a\.b`, `{"s":{"a.b":"v","a":{"b":1}}}`},
		{wire.PatchJSON, `{"s":{"[0]":1}}`, `s.\[0\]`, `{"s":{"[0]":"v"}}`},
		{wire.PatchJSON, `{"s":{"a~1b":1}}`, `s.a\~1b`, `{"s":{"a~1b":"v"}}`},
		{wire.PatchJSON, `{"s":{"a\\":{"b":1}}}`, `s.a\\.b`, `{"s":{"a\\":{"b":"v"}}}`},
		{wire.PatchJSON, `{"s":{"a\\n":1}}`, `s.a\n`, `{"s":{"a\\n":"v"}}`},
		{wire.PatchYAML, "s:\n  '*': 1\n  b: 1\n", `s.\*`, "s:\n  '*': v\n  b: 1\n"},
		{wire.PatchTOML, "[s]\n\"a.b\" = 1\n\"*\" = 1\n", `s.\*`, "[s]\n\"a.b\" = 1\n\"*\" = \"v\"\n"},
		{wire.PatchXML, `<s><a n="it's]"/><a n="x"/></s>`, `s.a[@n='it\'s\]']`, `<s><a n="it's]">v</a><a n="x"/></s>`},
		{wire.PatchINI, "[a]\nb.c=1\n[a.b]\nc=1\n", `a\.b.c`, "[a]\nb.c=1\n[a.b]\nc=v\n"},
		{wire.PatchINI, "[a]\nb.c=1\n[a.b]\nc=1\n", `a.b\.c`, "[a]\nb.c=v\n[a.b]\nc=1\n"},
	} {
		out, told, err := patch.Text(c.parser, []byte(c.in), []wire.PatchSet{one(c.match, "v")})
		if err != nil || string(out) != c.out {
			t.Errorf("%s of %s: %s, %v %v; want %s", c.match, c.in, out, told, err, c.out)
		}
	}
}
