package patch_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/patch"
	"github.com/berth-panel/berth/shared/wire"
)

// one is a set whose value is a Go value.
func one(match string, value any) wire.PatchSet {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return wire.PatchSet{Match: match, Value: raw}
}

func when(s wire.PatchSet, old string) wire.PatchSet {
	s.If = old
	return s
}

// text is lines with "|" before each, so that blanks at their beginning are seen.
func text(s string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimPrefix(s, "\n")) {
		if _, after, ok := strings.Cut(line, "|"); ok {
			b.WriteString(after)
		}
	}
	return b.String()
}

type example struct {
	name string
	in   string
	sets []wire.PatchSet
	want string
	told string // a part of the note
}

// play runs the examples, each of them twice: the second time changes nothing.
func play(t *testing.T, parser wire.PatchParser, list []example) {
	t.Helper()
	for _, e := range list {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			got, told, err := patch.Text(parser, []byte(e.in), e.sets)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != e.want {
				t.Fatalf("got:\n%s\nwant:\n%s\n(%q)", got, e.want, got)
			}
			if joined := strings.Join(told, "; "); (e.told == "") != (joined == "") || !strings.Contains(joined, e.told) {
				t.Errorf("told %q", joined)
			}
			again, _, err := patch.Text(parser, got, e.sets)
			if err != nil || string(again) != string(got) {
				t.Fatalf("twice isn't once: %v\n%s", err, again)
			}
		})
	}
}

type refusal struct {
	name, in string
	sets     []wire.PatchSet
	line     int
	why      string
}

func refuse(t *testing.T, parser wire.PatchParser, list []refusal) {
	t.Helper()
	for _, e := range list {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := patch.Text(parser, []byte(e.in), e.sets)
			var broken *patch.Error
			if !errors.As(err, &broken) || broken.Line != e.line || !strings.Contains(broken.Why, e.why) {
				t.Fatalf("got %v, want line %d: %s", err, e.line, e.why)
			}
		})
	}
}
