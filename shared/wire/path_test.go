package wire_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/shared/wire"
)

func TestPathsOfAnyBytesAreCarried(t *testing.T) {
	t.Parallel()
	for _, p := range []wire.Path{"", ".", "a/b", "100%", "%41", "a\nb", "\xff\xfe/\xc3", "ü/日本", "\ufffd", "\u2028\"\\<&>", "\x01\x7f", "\xed\xa0\x80"} {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back wire.Path
		if err := json.Unmarshal(text, &back); err != nil || back != p {
			t.Errorf("%q travels as %s and arrives as %q, %v", p, text, back, err)
		}
	}
	for text, want := range map[wire.Path]string{"plain/ü.txt": `"plain/ü.txt"`, "50%\xff": `"50%25%ff"`} {
		if got, err := json.Marshal(text); err != nil || string(got) != want {
			t.Errorf("%q is written %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{`"%"`, `"%4"`, `"%zz"`, `"%FF"`, `"a%"`, `7`} {
		var p wire.Path
		if err := json.Unmarshal([]byte(text), &p); err == nil {
			t.Errorf("%s is taken for %q", text, p)
		}
	}
}

func TestPathsThatAreNone(t *testing.T) {
	t.Parallel()
	for _, p := range []wire.Path{".", "a", "a/b", "...", "..a/.b", " ", "\n", wire.Path(strings.Repeat("n", 255))} {
		if !p.Valid() {
			t.Errorf("%q is refused", p)
		}
	}
	for _, p := range []wire.Path{
		"", "/", "/a", "a/", "a//b", "..", "../a", "a/..", "a/../b", "./a", "a/.", "a\x00b",
		wire.Path(strings.Repeat("n", 256)), wire.Path(strings.Repeat("a/", 2100) + "a"),
	} {
		if p.Valid() {
			t.Errorf("%.20q passes", p)
		}
	}
}

func TestOrderOfPathsIsThatOfAWalk(t *testing.T) {
	t.Parallel()
	want := []wire.Path{".", "!", "-", "a", "a/!", "a/b", "a/b/c", "a/b!", "a!", "a.txt", "b", "\xff"}
	got := slices.Clone(want)
	rand.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
	slices.SortFunc(got, wire.Path.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("sorted they are %q, want %q", got, want)
	}
	for i, p := range want {
		for j, q := range want {
			if c := p.Compare(q); (c < 0) != (i < j) || (c == 0) != (i == j) {
				t.Errorf("%q against %q is %d", p, q, c)
			}
		}
	}
	for _, c := range []struct {
		p, q  wire.Path
		above bool
	}{{".", "a", true}, {".", ".", false}, {"a", "a/b", true}, {"a", "a!", false}, {"a", "a", false}, {"a/b", "a", false}, {"a", "ab/c", false}} {
		if c.p.Above(c.q) != c.above {
			t.Errorf("%q above %q: %v", c.p, c.q, !c.above)
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"a/b", "%", "\xff%41", "../x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, err := json.Marshal(wire.Path(s))
		if err != nil {
			t.Fatal(err)
		}
		var back wire.Path
		if err := json.Unmarshal(text, &back); err != nil || string(back) != s {
			t.Fatalf("%q travels as %s and arrives as %q, %v", s, text, back, err)
		}
		var p wire.Path
		_ = p.UnmarshalText([]byte(s)) // must not fail in another way than by an error
	})
}
