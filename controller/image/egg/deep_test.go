package egg_test

import (
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/image/egg"
)

// What would take a parser minutes is refused before.
func TestDeepAndMany(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, want string }{
		"brackets of YAML": {"a:\n  " + strings.Repeat("[{a: ", 50000), "line 2: not YAML that can be read: nested deeper than 64 levels"},
		"brackets of JSON": {`{"a":` + strings.Repeat("[", 100000), "line 1: not JSON: nested deeper than 64 levels"},
		"indents":          {indents(200), "not YAML that can be read: nested deeper than 64 levels"},
		"values":           {`{"a":[` + strings.Repeat("1,", 200001) + "1]}", "line 1: not JSON: it holds more than 200,000 values"},
		"aliases": {"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c]\n" +
			"e: &e [*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e]\ng: [*f,*f,*f,*f,*f,*f]\n", "not YAML that can be read: it holds more than 200,000 values"},
		"an alias of itself": {"a: &a\n  b: *a\n", "not YAML that can be read: "},
	} {
		if _, err := egg.Read([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %.300v", name, err)
		}
	}
}

func indents(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}
