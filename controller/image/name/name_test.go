package name_test

import (
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/image/name"
)

func TestNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", name.Most)
	for text, clean := range map[string]string{
		"Echo": "Echo", "Ünïcode 日本語 עברית": "Ünïcode 日本語 עברית", "👩‍🚀 base": "👩‍🚀 base", long: long, // as they are
		" Echo\n": "Echo", "two\nlines": "two lines", "a\u00a0b": "a b", "gpj.\u202eexe": "gpj.exe", "a\u2066b\u2069": "ab", "\ufeffEcho": "Echo", "a\u200bb": "ab",
		"\x1b[31mred": "[31mred", "nul\x00": "nul", "\u200d": "", "": "", " \t": "", long + "x": long, "\xffx": "\ufffdx",
	} {
		got := name.Clean(text)
		if got != clean {
			t.Errorf("%q is made %q, want %q", text, got, clean)
		}
		if err := name.Check(text); (err == nil) != (text == clean && text != "") {
			t.Errorf("%q: %v", text, err)
		}
		if err := name.Check(got); (err == nil) != (got != "") {
			t.Errorf("%q, made of %q: %v", got, text, err)
		}
	}
}
