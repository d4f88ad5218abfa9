package invite

import (
	"strings"
	"testing"
)

func TestNamesInMailsToStrangersAreNoLinks(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"https://evil.example/login", "www.evil.example", "mail me@evil.example", strings.Repeat("Your account is closed. ", 8)} {
		got := unlinked(name)
		if strings.ContainsAny(got, "./@") || len([]rune(got)) > longestName+1 {
			t.Errorf("%q became %q", name, got)
		}
	}
	if got := unlinked("Anna's world"); got != "Anna's world" {
		t.Errorf("got %q", got)
	}
}
