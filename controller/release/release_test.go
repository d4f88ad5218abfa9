package release_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/berth-panel/berth/controller/release"
	"github.com/berth-panel/berth/shared/problem"
)

// packed is a program as make build leaves it.
func packed(t testing.TB, program string) *fstest.MapFile {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, program); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &fstest.MapFile{Data: b.Bytes()}
}

// folder is what make build leaves.
func folder(t testing.TB, version string) fstest.MapFS {
	t.Helper()
	return fstest.MapFS{
		"README.md": {Data: []byte("words")}, "release": {Data: []byte(version + "\n")},
		"berth-agent-linux-amd64.gz": packed(t, "the program for amd64"),
		"berth-agent-linux-arm64.gz": packed(t, "the program for arm64, which is longer"),
	}
}

func sumOf(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func TestPrograms(t *testing.T) {
	t.Parallel()
	programs := release.Read(folder(t, "v7"))
	if name, err := programs.Release(); name != "v7" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
	for arch, want := range map[string]string{"amd64": "the program for amd64", "arm64": "the program for arm64, which is longer"} {
		p, err := programs.For(arch)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // each reader has its own
			body, err := p.Open()
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(body)
			if err != nil || string(text) != want || p.Size != int64(len(want)) || p.SHA256 != sumOf(text) {
				t.Errorf("%s: %q, %v, %+v", arch, text, err, p)
			}
		}
	}
	if _, err := programs.For("../../etc/passwd"); !problem.Is(err, problem.Conflict) {
		t.Error(err)
	}
}

func TestWithoutPrograms(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string][]string{
		"a fresh clone": {"release", "berth-agent-linux-amd64.gz", "berth-agent-linux-arm64.gz"},
		"half a build":  {"release"},
		"one missing":   {"berth-agent-linux-arm64.gz"},
	} {
		files := folder(t, "v7")
		for _, f := range lost {
			delete(files, f)
		}
		programs := release.Read(files)
		_, one := programs.Release()
		_, two := programs.For("amd64")
		_, three := programs.Line("http://panel.example", "--key", "k")
		for _, err := range []error{one, two, three} {
			if !problem.Is(err, problem.NotFound) || !strings.Contains(err.Error(), "make build") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	torn := folder(t, "v7")
	torn["berth-agent-linux-amd64.gz"].Data = torn["berth-agent-linux-amd64.gz"].Data[:20]
	if _, err := release.Read(torn).For("amd64"); err == nil {
		t.Error("a torn program is handed out")
	}
}

// What this very build holds can be asked for, whether it has programs or not.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	programs := release.Embedded()
	if name, err := programs.Release(); (err == nil) != (name != "") || (err != nil && !problem.Is(err, problem.NotFound)) {
		t.Errorf("%q, %v", name, err)
	}
}

// A URL that holds a shell's own characters stays one word, in the script and in
// the line.
func TestScriptQuotes(t *testing.T) {
	t.Parallel()
	marker := filepath.Join(t.TempDir(), "ran")
	hostile := "http://x/'$(touch " + marker + ")`touch " + marker + "`;touch " + marker + "; '"
	programs := release.Read(folder(t, "v7'; touch "+marker+"; '"))
	script, err := programs.Script(hostile)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(script); strings.Contains(text, "@AMD64@") || strings.Contains(text, "@URL@") || !strings.Contains(text, "sum_arm64="+sumOf([]byte("the program for arm64, which is longer"))) {
		t.Errorf("places were left open:\n%s", text)
	}
	path := filepath.Join(t.TempDir(), "agent.sh")
	if err := os.WriteFile(path, script, 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), "sh", path, "--help").CombinedOutput()
	if err != nil || !strings.Contains(string(said), "--uninstall") {
		t.Errorf("%v, %s", err, said)
	}
	line, err := programs.Line(hostile, "--key", "k'; touch "+marker)
	if err != nil {
		t.Fatal(err)
	}
	if said, err := shell(t, t.TempDir(), line); err == nil {
		t.Errorf("the line did something: %s", said)
	}
	if _, err := os.Stat(marker); err == nil {
		t.Error("text of the URL was run")
	}
}

// shell runs the line with a sudo that only says what it was to do.
func shell(t *testing.T, dir, line string) (string, error) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, "sudo"), []byte("#!/bin/sh\necho \"sudo $1 SCRIPT\"; shift 2; echo \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "sh", "-c", line)
	c.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "TMPDIR=" + dir, "no_proxy=*"}
	said, err := c.CombinedOutput()
	return string(said), err
}

// The line runs the script that the controller meant, fetched by curl or by
// wget, and nothing else.
func TestLine(t *testing.T) {
	t.Parallel()
	altered := false
	var programs *release.Programs
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		script, err := programs.Script(server.URL)
		if err != nil || r.URL.Path != "/install/agent.sh" {
			t.Errorf("%s, %v", r.URL.Path, err)
		}
		if altered {
			script = append(script, "touch /altered\n"...)
		}
		_, _ = w.Write(script)
	}))
	defer server.Close()
	programs = release.Read(folder(t, "v7"))
	line, err := programs.Line(server.URL, "--key", "berth-enrol.a.b.c", "--name", "two words")
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(line, "\n") || len(line) > 400 {
		t.Errorf("the line has %d characters: %s", len(line), line)
	}
	good := "sudo sh SCRIPT\n--key berth-enrol.a.b.c --name two words\n"
	if said, err := shell(t, t.TempDir(), line); err != nil || said != good {
		t.Errorf("%v, %q", err, said)
	}
	without := t.TempDir()
	if err := os.WriteFile(filepath.Join(without, "curl"), []byte("#!/bin/sh\nexit 127\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("wget"); err == nil {
		if said, err := shell(t, without, line); err != nil || said != good {
			t.Errorf("with wget: %v, %q", err, said)
		}
	}
	altered = true
	if said, err := shell(t, t.TempDir(), line); err == nil || strings.Contains(said, "sudo") {
		t.Errorf("an altered script was run: %q", said)
	}
	server.Close()
	if said, err := shell(t, t.TempDir(), line); err == nil || strings.Contains(said, "sudo") {
		t.Errorf("without a controller: %q", said)
	}
}
