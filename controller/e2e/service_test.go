package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// copyIn puts a file of the host onto the machine.
func (m *machine) copyIn(from, to string) {
	m.t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write(to, text, 0o755)
}

// write puts a file onto the machine.
func (m *machine) write(to string, text []byte, mode os.FileMode) {
	m.t.Helper()
	// Through the first process's root: the path is the machine's own.
	at := filepath.Join("/proc", fmt.Sprint(m.pid), "cwd", to)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(at, text, mode); err != nil {
		m.t.Fatal(err)
	}
}

// builtController builds the controller as a release, with the race detector: all
// of it has been compiled so for the tests already.
func builtController(t *testing.T, version string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "berth-controller-"+version)
	c := exec.CommandContext(t.Context(), "go", "build", "-race", "-ldflags", "-X github.com/berth-panel/berth/shared/build.Version="+version, "-o", out, "../../controller")
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build the controller: %v\n%s", err, said)
	}
	return out
}

// The controller is installed as a service, upgraded with a backup before, put
// back by itself when the new release does not become healthy, also when that
// has spoilt the database, taken back by hand, and removed.
func TestControllerService(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	script := "sh -c 'cd /tree && bash deploy/controller.sh \"$@\"' x "
	for _, name := range []string{"controller.sh", "lib.sh"} {
		m.copyIn(filepath.Join("../../deploy", name), "tree/deploy/"+name)
	}
	m.copyIn(builtController(t, "v1"), "v1")
	m.copyIn(builtController(t, "v2"), "v2")
	// It says that it is a release, and ends as soon as it is to serve.
	const broken = "#!/bin/sh\ncase $1 in version) echo %s ;; serve) %s exit 1 ;; *) exec /v2 \"$@\" ;; esac\n"
	m.write("v3", fmt.Appendf(nil, broken, "v3", ""), 0o755)
	m.write("v4", fmt.Appendf(nil, broken, "v4", "printf spoilt | dd of=\"$BERTH_DATA/berth.db\" conv=notrunc 2>/dev/null; rm -f \"$BERTH_DATA\"/berth.db-*;"), 0o755)
	address := fmt.Sprintf("127.0.0.1:%d", runtimetest.FreePort(t))

	m.refuses(1, "no controller is installed here", script+"upgrade --program /v1")
	said := m.run(script + "install --program /v1 --listen " + address)
	_, rest, ok := strings.Cut(said, "API key ")
	if !ok || !strings.Contains(said, "login admin, password ") || !strings.Contains(said, "release v1") {
		t.Fatalf("%s", said)
	}
	key, _, _ := strings.Cut(rest, "\n")
	if left := m.run("ls /etc/berth; stat -c '%a %U' /var/lib/berth-controller /etc/berth/controller.env"); left != "controller.env\n700 berth\n600 root" {
		t.Errorf("%s", left)
	}
	p := &panel{t: t, url: "http://" + address}
	users := func() int {
		t.Helper()
		status, text := p.raw(strings.TrimSpace(key), http.MethodGet, "/api/v1/users", nil)
		if status != http.StatusOK {
			t.Fatalf("%d: %s", status, text)
		}
		return strings.Count(string(text), `"username"`)
	}
	add := func(name string) {
		t.Helper()
		m.run("echo a-good-password | /usr/local/bin/berth-controller user create --username " + name + " --email " + name + "@example.com")
	}
	if n := users(); n != 1 {
		t.Fatalf("%d users", n)
	}
	if again := m.run(script + "install"); !strings.Contains(again, "its settings are written anew") || !strings.Contains(again, address) {
		t.Errorf("%s", again)
	}

	add("before")
	for _, same := range []string{"release v2. The backup of before is", "is of this release already: v2"} {
		if said := m.run(script + "upgrade --program /v2"); !strings.Contains(said, same) {
			t.Errorf("%s\nwant %q", said, same)
		}
	}
	m.refuses(1, "the upgrade failed; release v2 runs again", script+"upgrade --program /v3")
	if n := users(); n != 2 {
		t.Errorf("%d users", n)
	}
	m.refuses(1, "the upgrade failed; release v2 runs again", script+"upgrade --program /v4")
	if n := users(); n != 2 {
		t.Errorf("%d users after the database was spoilt", n)
	}
	if said := m.run(script + "rollback"); !strings.Contains(said, "release v1") {
		t.Errorf("%s", said)
	}
	if n := users(); n != 2 {
		t.Errorf("%d users", n)
	}

	m.refuses(1, "say --yes", "setsid "+script+"uninstall </dev/null")
	m.run(script + "uninstall --yes && test -e /var/lib/berth-controller/berth.db && ! test -e /etc/systemd/system/berth-controller.service")
	m.run(script + "install --program /v2 --listen " + address)
	if n := users(); n != 2 {
		t.Errorf("%d users after it was installed again", n)
	}
	m.run(script + "uninstall --yes --purge && ! test -e /var/lib/berth-controller")
}
