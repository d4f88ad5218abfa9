package console

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/berth-panel/berth/shared/wire"
)

func TestSplit(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		"":                              {""},
		"a\nb\n":                        {"a", "b", ""},
		"a\r\nb\r\r\n\n":                {"a", "b", "", ""},
		"10%\r20%\r100%\ndone":          {"100%", "done"},
		"over\rwritten\r":               {"written"},
		"> \r\x1b[K[12:00] hi\n> ":      {"\x1b[K[12:00] hi", "> "},
		"\r\na":                         {"", "a"},
		"\xff\xfe ok\n":                 {"\ufffd\ufffd ok", ""},
		"half \xe2\x82\n\xe2\x82\xac":   {"half \ufffd\ufffd", "€"},
		"\x1b[31mred\x1b[0m\tand\x00\n": {"\x1b[31mred\x1b[0m\tand\x00", ""},
	} {
		for _, step := range []int{1, 2, 3, 1000} {
			s := &splitter{}
			var got []string
			for chunk := range slices.Chunk([]byte(in), step) {
				for _, e := range s.feed(nil, chunk, time.Time{}) {
					got = append(got, e.text)
				}
			}
			if got = append(got, s.tail()); !slices.Equal(got, want) {
				t.Errorf("%q in steps of %d gives %q, want %q", in, step, got, want)
			}
		}
	}
}

func TestLongLinesAreCut(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"a", "é", "€", "😀", "\xff", "a\xff", "\xe2\x82"} {
		for _, step := range []int{7, 4096, 1 << 20} {
			text := strings.Repeat(unit, 3*wire.ConsoleLine/len(unit))
			s := &splitter{}
			var got []entry
			for chunk := range slices.Chunk([]byte(text+"\nshort\n"), step) {
				got = s.feed(got, chunk, time.Time{})
			}
			var whole strings.Builder
			for i, e := range got[:len(got)-1] {
				if len(e.text) > wire.ConsoleLine || !utf8.ValidString(e.text) || e.part != (i < len(got)-2) {
					t.Fatalf("%q: piece %d of %d has %d bytes, part %v", unit, i, len(got), len(e.text), e.part)
				}
				whole.WriteString(e.text)
			}
			if utf8.ValidString(text) && whole.String() != text || got[len(got)-1].text != "short" {
				t.Fatalf("%q: %d bytes came, want %d", unit, whole.Len(), len(text))
			}
		}
	}
}

func TestEndMakesALine(t *testing.T) {
	t.Parallel()
	s := &splitter{source: wire.ConsoleErr}
	s.feed(nil, []byte("bye"), time.Time{})
	if got := s.end(nil, time.Time{}); len(got) != 1 || got[0].text != "bye" || got[0].source != wire.ConsoleErr {
		t.Fatalf("%+v", got)
	}
	if got := s.end(nil, time.Time{}); got != nil || s.tail() != "" {
		t.Fatalf("an end of nothing gives %+v", got)
	}
}
