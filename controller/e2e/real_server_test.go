package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
)

// Servers as people really run them, from the distribution's packages: nginx as
// root with a master that drops to www-data, Redis as its own user, with its
// data in the volume over a suspension; and six programs from eggs.
func TestRealServers(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t)
	root := debianRoot(t, realPackages...)
	base := h.loadRoot(t, root)

	t.Run("eggs", func(t *testing.T) { h.playEggs(t, base, root, owner) })
	t.Run("nginx", func(t *testing.T) {
		reference := h.recast(base, map[string]any{"Entrypoint": []string{"nginx", "-g", "daemon off;"}})
		image := p.image(map[string]any{"name": "Web " + reference, "references": []string{reference}, "volume": "/var/www/html", "stop_command": "^SIGQUIT"})
		port := runtimetest.FreePort(t)
		id := p.deployV1(map[string]any{"name": "web", "owner_id": owner, "node_id": h.id, "image_id": image, "memory": 64, "cpu": 0.5,
			"ports": []map[string]any{{"container": 80, "host": port}}})
		if err := os.WriteFile(filepath.Join(h.dir, "volumes", id, "data", "index.html"), []byte("hosted by Berth"), 0o644); err != nil {
			t.Fatal(err)
		}
		eventually(t, "nginx serves the volume", func() bool {
			text, err := get(t, fmt.Sprintf("http://127.0.0.1:%d/", port))
			return err == nil && strings.Contains(text, "hosted by Berth")
		})
	})
	t.Run("redis", func(t *testing.T) {
		reference := h.recast(base, map[string]any{"User": "redis", "Entrypoint": []string{"redis-server"}})
		image := p.image(map[string]any{"name": "Redis " + reference, "references": []string{reference}, "volume": "/data",
			"command_line": "--dir /data --appendonly yes --appendfsync always --bind 0.0.0.0 --requirepass {{PASSWORD}}",
			"variables":    []map[string]any{{"name": "PASSWORD", "required": true}}})
		port := runtimetest.FreePort(t)
		id := p.deployV1(map[string]any{"name": "store", "owner_id": owner, "node_id": h.id, "image_id": image, "memory": 64, "cpu": 0.5,
			"variables": map[string]string{"PASSWORD": "two words"}, "ports": []map[string]any{{"container": 6379, "host": port}}})
		eventually(t, "Redis takes a value", func() bool { return redis(t, port, "SET", "berth", "safe") == "+OK" })
		p.must(http.StatusAccepted, "POST", "/api/v1/instances/"+id+"/suspend", map[string]string{"reason": "unpaid"}, nil)
		eventually(t, "it is down", func() bool { return p.instance(id).Actual == "stopped" })
		p.must(http.StatusAccepted, "POST", "/api/v1/instances/"+id+"/unsuspend", nil, nil)
		eventually(t, "the value is still there", func() bool { return redis(t, port, "GET", "berth") == "safe" })
	})
}

// debianRoot makes a root filesystem with packages and gives its directory.
func debianRoot(t *testing.T, packages ...string) string {
	t.Helper()
	runtimetest.DockerHost(t)
	mirror, suite := aptSource(t)
	if _, err := exec.LookPath("debootstrap"); err != nil || os.Getuid() != 0 || mirror == "" {
		if os.Getenv(runtimetest.EnvDocker) == "required" {
			t.Fatalf("this test needs root, debootstrap (%v) and apt's sources (%q)", err, mirror)
		}
		t.Skip("this test needs root, debootstrap and apt's sources")
	}
	dir := filepath.Join(t.TempDir(), "root")
	out, err := exec.CommandContext(t.Context(), "debootstrap", "--variant=minbase", "--components=main,universe",
		"--include="+strings.Join(packages, ","), suite, dir, mirror).CombinedOutput()
	if err != nil {
		t.Fatalf("debootstrap: %v\n%s", err, out[max(0, len(out)-2000):])
	}
	return dir
}

// aptSource gives the mirror and the suite that this machine itself installs from.
func aptSource(t *testing.T) (mirror, suite string) {
	t.Helper()
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return "", ""
	}
	if m := regexp.MustCompile(`(?m)^VERSION_CODENAME=(\S+)`).FindSubmatch(release); m != nil {
		suite = string(m[1])
	}
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*")
	for _, f := range append(files, "/etc/apt/sources.list") {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		if m := regexp.MustCompile(`(?m)^(?:URIs:\s*|deb\s+(?:\[[^\]]*\]\s+)?)(\S+)`).FindSubmatch(text); m != nil {
			return string(m[1]), suite
		}
	}
	return "", suite
}

// loadRoot makes an image out of a root filesystem, which runs nothing until it is
// recast, and gives its reference. It can be used for eggs too: it has their user
// and what runs their start command.
func (h *host) loadRoot(t *testing.T, dir string) string {
	t.Helper()
	entrypoint, err := os.ReadFile(filepath.Join("testdata", "programs", "entrypoint.sh"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "entrypoint.sh"), entrypoint, 0o755); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	add := exec.CommandContext(t.Context(), "chroot", dir, "useradd", "--uid", "4242", "--home-dir", "/home/container", "--create-home", "container")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("useradd: %v: %s", err, out)
	}
	args := []string{"-C", dir, "--one-file-system"}
	for _, unread := range []string{"var/cache", "var/lib/apt", "var/lib/postgresql", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/i18n"} {
		args = append(args, "--exclude=./"+unread+"/*")
	}
	tar := exec.CommandContext(t.Context(), "tar", append(args, "-c", ".")...)
	stdout, err := tar.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := tar.Start(); err != nil {
		t.Fatal(err)
	}
	// Written once: loaded as a whole image, it would be copied twice on its way.
	repository := "berth-test/root-" + string(ident.NewInstance())
	query := url.Values{"fromSrc": {"-"}, "repo": {repository}, "tag": {"1"}, "changes": {"LABEL berth.loaded=" + string(h.id)}}
	res, err := h.engineClient().Post("http://docker/images/create?"+query.Encode(), "application/x-tar", stdout)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || bytes.Contains(answer, []byte(`"error"`)) {
		t.Fatalf("the engine answers %s, %v: %s", res.Status, err, answer)
	}
	if err := tar.Wait(); err != nil {
		t.Fatal(err)
	}
	return repository + ":1"
}

// image adds an image by its fields and gives its id.
func (p *panel) image(fields map[string]any) string {
	p.t.Helper()
	var made data[struct{ ID string }]
	p.must(http.StatusCreated, "POST", "/api/v1/images", fields, &made)
	return made.Data.ID
}

// deployV1 deploys over /api/v1, waits until it runs, and gives the id.
func (p *panel) deployV1(fields map[string]any) string {
	p.t.Helper()
	var made data[struct{ Instance struct{ ID string } }]
	p.must(http.StatusAccepted, "POST", "/api/v1/instances", fields, &made)
	p.awaitStatus(made.Data.Instance.ID, "running")
	return made.Data.Instance.ID
}

func get(t *testing.T, url string) (string, error) {
	t.Helper()
	client := http.Client{Timeout: 5 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	text := make([]byte, 4096)
	n, _ := res.Body.Read(text)
	return string(text[:n]), nil
}

// redis sends one command after logging in and gives the first line of its
// answer, or the text of a bulk answer; "" when the server does not answer.
func redis(t *testing.T, port uint16, words ...string) string {
	t.Helper()
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 2*time.Second)
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return ""
	}
	reader := bufio.NewReader(conn)
	line := func() string { text, _ := reader.ReadString('\n'); return strings.TrimSpace(text) }
	send := func(words ...string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "*%d\r\n", len(words))
		for _, w := range words {
			fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
		}
		if _, err := conn.Write([]byte(b.String())); err != nil {
			return ""
		}
		answer := line()
		if strings.HasPrefix(answer, "$") && answer != "$-1" {
			answer = line()
		}
		return answer
	}
	if send("AUTH", "two words") != "+OK" {
		return ""
	}
	return send(words...)
}
