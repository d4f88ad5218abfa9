package patch_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/pelletier/go-toml/v2"
	"github.com/tidwall/jsonc"

	"github.com/berth-panel/berth/agent/patch"
	"github.com/berth-panel/berth/shared/wire"
)

// apply patches twice and checks what holds for every text: no panic, twice is
// once, and an error names a line of the text.
func apply(t *testing.T, parser wire.PatchParser, src []byte, sets ...wire.PatchSet) ([]byte, bool) {
	t.Helper()
	before := bytes.Clone(src)
	out, told, err := patch.Text(parser, src, sets)
	if !bytes.Equal(src, before) {
		t.Fatal("the text that was given is changed")
	}
	if err != nil {
		var e *patch.Error
		if !errors.As(err, &e) || e.Line < 1 || e.Line > 1+bytes.Count(src, []byte("\n")) {
			t.Fatalf("%v", err)
		}
		return nil, false
	}
	again, _, err := patch.Text(parser, out, sets)
	if err != nil || !bytes.Equal(again, out) {
		t.Fatalf("twice isn't once: %v\n%q\n%q\n%q", err, src, out, again)
	}
	return out, len(told) == 0
}

// seeds are texts of each format; a fuzzer is given those of all.
var seeds = map[wire.PatchParser][]string{
	wire.PatchFile:       {"port 1\nbind x\n", "a\r\nb", ""},
	wire.PatchProperties: {"a=1\n# c\n b : 2\\\n  3\nc\\ d=\\u00e4\n", "a", "a\\", "\\\n=x"},
	wire.PatchINI:        {"; c\na=1\n[s]\nb = \"x\" ; y\n", "[a.b]\nc:d\n", "[", "=\n"},
	wire.PatchJSON:       {"{\"a\":{\"b\":[1,{\"c\":null}]}}", "// x\n{\n\t\"a\": 1, // y\n}\n", "[1,2]", "null", "{}"},
	wire.PatchYAML:       {"a:\n  b: 1 # c\n  l:\n  - x: 'y'\n  - z\nd: |\n  e\n", "{a: [b, \"c\"]}", "--- &x\na: *x\n...\n---\nb", "- - a\n  - b: c\n-\n", "a:\n\n  - \"q\n r\"\n", "? a\n: b\n", "a: !t\n  b:\n"},
	wire.PatchXML:        {"<?xml version=\"1.0\"?><a><b c='d'/>t<!-- x --></a>", "<a><b>1</b><b/></a>", "<a><![CDATA[x]]></a>"},
	wire.PatchTOML:       {"a = 1 # c\n[s]\nb.c = 'x'\n[[l]]\nd = {e = [1, 2]}\n", "\"a b\" = \"\"\"\nx\"\"\"\n", "a = 1979-05-27 07:32:00\n"},
}

var matches = []string{"a", "s.b", "l[0].d.e", "*.b", "a.b", "new.deep.key", "l.*.x"}

func fuzz(f *testing.F, parser wire.PatchParser, check func(t *testing.T, src, out []byte, s wire.PatchSet)) {
	for _, src := range seeds[parser] {
		for i, match := range matches {
			f.Add([]byte(src), match, []string{"v", "25565", "a: b", "x # y", "'\"\n"}[i%5])
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, match, value string) {
		if strings.Contains(value, "1") && value != "25565" || match == "" { // or conditions chain
			return
		}
		if len(src) > 4096 || len(match) > 100 || len(value) > 200 || !utf8.ValidString(value) || !utf8.ValidString(match) {
			return
		}
		s := one(match, value)
		out, placed := apply(t, parser, src, s)
		if placed && check != nil {
			check(t, src, out, s)
		}
		apply(t, parser, src, s, one("a.b", 5), one("*", true), when(one(match, "9"), "regex:^111$"))
	})
}

func FuzzFile(f *testing.F) {
	fuzz(f, wire.PatchFile, func(t *testing.T, src, out []byte, s wire.PatchSet) {
		if !bytes.Contains(src, []byte(s.Match)) && !bytes.Equal(src, out) {
			t.Fatalf("%q became %q", src, out)
		}
	})
}

func FuzzProperties(f *testing.F) { fuzz(f, wire.PatchProperties, nil) }

func FuzzINI(f *testing.F) { fuzz(f, wire.PatchINI, nil) }

func FuzzJSON(f *testing.F) {
	fuzz(f, wire.PatchJSON, func(t *testing.T, src, out []byte, _ wire.PatchSet) {
		if len(bytes.TrimSpace(out)) > 0 && !json.Valid(jsonc.ToJSON(bytes.TrimPrefix(out, []byte("\ufeff")))) {
			t.Fatalf("%q became %q", src, out)
		}
	})
}

// FuzzYAML compares with another reader: where it reads the text, it reads the
// patched one, which says the same but for what was set.
func FuzzYAML(f *testing.F) {
	fuzz(f, wire.PatchYAML, func(t *testing.T, src, out []byte, s wire.PatchSet) {
		before, ok := readYAML(src)
		if !ok || bytes.ContainsAny(src, "?*&!%\x00\t\r\u0085\u2028\u2029") || !printable(src) {
			return
		}
		after, ok := readYAML(out)
		if !ok {
			t.Fatalf("%q became %q", src, out)
		}
		if len(s.Match) != 1 || strings.ContainsAny(s.Match, "*.[]\\~0123456789") {
			return
		}
		if m, isMap := before.(map[string]any); isMap {
			changed, _ := after.(map[string]any)
			delete(m, s.Match)
			delete(changed, s.Match)
			if !reflect.DeepEqual(m, changed) {
				t.Fatalf("%q became %q", src, out)
			}
		}
	})
}

func printable(src []byte) bool {
	return utf8.Valid(src) && !bytes.ContainsFunc(src, func(r rune) bool { return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == 0xfeff })
}

func readYAML(src []byte) (v any, ok bool) {
	defer func() {
		if recover() != nil { // it is the other reader's
			ok = false
		}
	}()
	err := yaml.NewDecoder(bytes.NewReader(src)).Decode(&v)
	return v, err == nil || errors.Is(err, io.EOF)
}

func FuzzTOML(f *testing.F) {
	fuzz(f, wire.PatchTOML, func(t *testing.T, src, out []byte, s wire.PatchSet) {
		var before, after map[string]any
		if toml.Unmarshal(src, &before) != nil {
			return
		}
		if err := toml.Unmarshal(out, &after); err != nil {
			t.Fatalf("%q became %q: %v", src, out, err)
		}
		if strings.ContainsAny(s.Match, "*.[]\\~0123456789") {
			return
		}
		delete(before, s.Match)
		delete(after, s.Match)
		if len(before)+len(after) > 0 && !reflect.DeepEqual(before, after) {
			t.Fatalf("%q became %q", src, out)
		}
	})
}

func FuzzXML(f *testing.F) {
	fuzz(f, wire.PatchXML, func(t *testing.T, src, out []byte, _ wire.PatchSet) {
		if readXML(src) == nil && len(bytes.TrimSpace(out)) > 0 {
			if err := readXML(out); err != nil && len(bytes.TrimSpace(src)) > 0 {
				t.Fatalf("%q became %q: %v", src, out, err)
			}
		}
	})
}

func readXML(src []byte) error {
	d := xml.NewDecoder(bytes.NewReader(src))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
