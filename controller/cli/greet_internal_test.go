package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/identity"
)

// What was drawn is said, for nobody knows it yet; what was given is not: our
// output often goes to a log.
func TestGreetSaysOnlyWhatWasDrawn(t *testing.T) { // not parallel: it sets the environment
	first := identity.FirstRun{Created: true, Username: "admin", Password: "the-password", Key: "the-key"}
	for _, given := range []bool{false, true} {
		value := map[bool]string{true: "x"}[given]
		t.Setenv(envKey, value)
		t.Setenv(envPassword, value)
		var out bytes.Buffer
		if err := greet(&output{stdout: &out}, first); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{first.Password, first.Key} {
			if strings.Contains(out.String(), secret) == given {
				t.Errorf("given %v: %s", given, out.String())
			}
		}
	}
}
