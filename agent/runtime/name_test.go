package runtime_test

import (
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
)

func TestFullName(t *testing.T) {
	t.Parallel()
	digest := "@sha256:" + strings.Repeat("0", 64)
	for given, want := range map[string]string{
		"redis":                         "docker.io/library/redis:latest",
		"docker.io/library/redis":       "docker.io/library/redis:latest",
		"a/b:1":                         "docker.io/a/b:1",
		"127.0.0.1:5000/bt/game:1":      "127.0.0.1:5000/bt/game:1",
		"redis" + digest:                "docker.io/library/redis" + digest,
		"registry.example/a:1" + digest: "registry.example/a" + digest,
	} {
		if got, err := runtime.FullName(given); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", given, got, err, want)
		}
	}
	for _, given := range []string{"", "a/UPPER", "two words", strings.Repeat("a", 1000)} {
		if _, err := runtime.FullName(given); runtime.ReasonOf(err) != runtime.BadReference {
			t.Errorf("%.20q: %v", given, err)
		}
	}
}
