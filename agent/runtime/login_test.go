package runtime_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
)

func TestLoginIsNeverPrinted(t *testing.T) {
	t.Parallel()
	login := runtime.Login{Username: "anna", Password: "hush-hush"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("a pull", "login", login, "in", struct{ Login runtime.Login }{login})
	text, err := json.Marshal(map[string]any{"login": login})
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{
		log.String(), string(text), fmt.Sprint(login), fmt.Sprintf("%v %+v %#v %s", login, login, login, login), fmt.Sprintf("%+v", []any{login, &login, struct{ L runtime.Login }{login}}),
	} {
		if strings.Contains(printed, "hush") {
			t.Errorf("the password is in %s", printed)
		}
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	for reference, want := range map[string]string{
		"redis": "docker.io", "team/game:1": "docker.io", "docker.io/library/redis": "docker.io", "index.docker.io/redis": "docker.io",
		"registry.example.com/game": "registry.example.com", "registry.example.com:5000/a/b@sha256:" + strings.Repeat("0", 64): "registry.example.com:5000",
		"Registry.Example.com/game": "registry.example.com", "localhost/game": "localhost", "127.0.0.1:5000/game": "127.0.0.1:5000", "[2001:db8::1]:5000/game": "[2001:db8::1]:5000",
		"evil/registry.example.com/game": "docker.io", "registry.example.com.evil.example/game": "registry.example.com.evil.example", "registry/example": "docker.io",
		"": "", "a b": "", "https://registry.example.com/game": "", "user:word@registry.example.com/game": "", "UPPER": "",
	} {
		got, err := runtime.Host(reference)
		if got != want || (want == "") != (runtime.ReasonOf(err) == runtime.BadReference) {
			t.Errorf("%q is of %q, %v; want %q", reference, got, err, want)
		}
	}
}

func TestPinned(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("ab", 32)
	for reference, want := range map[string]string{
		"redis": "docker.io/library/redis@" + digest, "registry.example.com:5000/a/b:1.2": "registry.example.com:5000/a/b@" + digest,
		"registry.example.com/a@sha256:" + strings.Repeat("0", 64): "registry.example.com/a@" + digest,
	} {
		if got, err := runtime.Pinned(reference, digest); got != want || err != nil {
			t.Errorf("%s gives %q, %v; want %q", reference, got, err, want)
		}
	}
	if got, err := runtime.Pinned("redis:7", ""); got != "redis:7" || err != nil {
		t.Errorf("without a digest: %q, %v", got, err)
	}
	for _, bad := range []string{"sha256:", "sha256:xyz", "md5:" + strings.Repeat("0", 32), digest + "@" + digest, digest + " ", "latest"} {
		if _, err := runtime.Pinned("redis", bad); runtime.ReasonOf(err) != runtime.BadReference {
			t.Errorf("the digest %q gives %v", bad, err)
		}
	}
}
