package e2e

import (
	"bufio"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
)

// machine is a root file system in namespaces of its own, in which the installer
// can do what it does to a real machine. Only systemd is played.
type machine struct {
	t   *testing.T
	pid int
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		if os.Getenv(runtimetest.EnvDocker) == "required" {
			t.Fatal("this test needs root")
		}
		t.Skip("this test needs root")
	}
	own, err := filepath.Abs("testdata/machine")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(filepath.Join(own, "init"), t.TempDir(), own)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	c.Stderr = testWriter{t}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // and the kernel ends all others of its namespace
		_ = c.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the machine did not start: %q, %v", line, err)
	}
	return &machine{t: t, pid: c.Process.Pid}
}

// try runs a line on the machine.
func (m *machine) try(line string) (string, error) {
	m.t.Helper()
	c := exec.CommandContext(m.t.Context(), "nsenter", "-t", strconv.Itoa(m.pid), "-m", "-p", "--wdns="+m.cwd(), "--", "chroot", ".", "/usr/bin/env", "-i",
		"PATH=/fake:/usr/sbin:/usr/bin:/sbin:/bin", "no_proxy=*", "sh", "-c", line)
	said, err := c.CombinedOutput()
	return string(said), err
}

// cwd is the first process's, which is the machine's root.
func (m *machine) cwd() string {
	m.t.Helper()
	cwd, err := os.Readlink("/proc/" + strconv.Itoa(m.pid) + "/cwd")
	if err != nil {
		m.t.Fatal(err)
	}
	return cwd
}

// run is try for a line that must work.
func (m *machine) run(line string) string {
	m.t.Helper()
	said, err := m.try(line)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", line, err, said)
	}
	return strings.TrimSpace(said)
}

// refuses is try for a line that must fail, with that code and those words.
func (m *machine) refuses(code int, words, line string) {
	m.t.Helper()
	said, err := m.try(line)
	exit := 0
	if e, ok := err.(*exec.ExitError); ok { //nolint:errorlint // it is that very error
		exit = e.ExitCode()
	}
	if exit != code || !strings.Contains(said, words) {
		m.t.Errorf("%s: %v\n%s\nwant code %d and %q", line, err, said, code, words)
	}
}

// The line that the controller prints makes a bare machine a node, may be run
// again, and is undone again. What it changes on the way is checked: nothing
// that was altered is ever run.
func TestInstaller(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	v1 := built(t, "v1", "")
	p := startRelease(t, "", "", programs(t, "v1", v1))
	port := runtimetest.FreePort(t)
	var made data[struct {
		Node      struct{ ID ident.Node }
		Enrolment struct {
			Command string `json:"command"`
			Enrol   string `json:"enrol_command"`
		}
	}]
	p.must(http.StatusCreated, "POST", "/api/v1/nodes", map[string]any{"name": "a", "address": "127.0.0.1", "port": port, "memory": 4096, "disk": 40960}, &made)
	line := made.Data.Enrolment.Command
	if !strings.Contains(line, p.url+"/install/agent.sh") || !strings.HasPrefix(made.Data.Enrolment.Enrol, "berth-agent enrol ") {
		t.Fatalf("%+v", made.Data.Enrolment)
	}
	h := &installed{host: &host{panel: p, id: made.Data.Node.ID}}

	// Altered on its way: the script, then the program.
	at := strings.Index(line, "echo \"") + len("echo \"")
	m.refuses(1, "", line[:at]+strings.Repeat("0", 64)+line[at+64:])
	script := "curl -fsSo /agent.sh " + p.url + "/install/agent.sh && "
	m.refuses(1, "not the agent that this script is for", script+"sed -i 's/^sum_\\(.*\\)=.*/sum_\\1="+strings.Repeat("0", 64)+"/' /agent.sh && sh /agent.sh --key k")
	m.refuses(1, "is not enrolled", script+"sh /agent.sh")
	m.refuses(2, "--bogus", "sh /agent.sh --bogus")
	m.refuses(2, "not allowed", "sh /agent.sh --listen ':1;id'")
	if said, err := m.try("ls /etc/systemd/system/ /run/fake"); err == nil || strings.Contains(said, "berth") {
		t.Errorf("a refusal left a service: %s", said)
	}

	m.run("rm -f /tmp/tmp.*") // of the script that was never run
	m.run(line)
	h.runs("v1")
	if modes := m.run("stat -c %a /var/lib/berth-agent /etc/berth/agent.env /var/lib/berth-agent/node.key && ls /tmp /usr/local/lib/berth-agent"); modes != "700\n600\n600\n/tmp:\n\n/usr/local/lib/berth-agent:\ncurrent\nreleases" {
		t.Errorf("%s", modes)
	}
	unit := m.run("cat /etc/systemd/system/berth-agent.service && test -e /run/fake/enabled")
	for _, never := range []string{"Private", "Protect", "ReadOnly", "Temporary", "RootDirectory", "MountFlags"} {
		if strings.Contains(unit, never) { // the engine would not see the volumes
			t.Errorf("the unit has %s:\n%s", never, unit)
		}
	}
	for _, always := range []string{"KillMode=process", "Restart=always", "RestartSec=1\n", "LimitNOFILE="} {
		if !strings.Contains(unit, always) {
			t.Errorf("the unit lacks %s:\n%s", always, unit)
		}
	}

	// The same line again, and a dead agent.
	if said := m.run(line); !strings.Contains(said, "enrolled with this key already") {
		t.Errorf("%s", said)
	}
	before := m.run("cat /run/fake/pid")
	m.run("kill -9 " + before)
	eventually(t, "it is started again", func() bool {
		now, err := m.try("cat /run/fake/pid")
		return err == nil && strings.TrimSpace(now) != before
	})
	h.runs("v1")

	// A later release, over the link and in the same process.
	v2 := built(t, "v2", "")
	h.panel = h.panel.next(t, programs(t, "v2", v2))
	h.runs("v1")
	before = m.run("cat /run/fake/pid")
	h.update("succeeded")
	h.runs("v2")
	if after := m.run("cat /run/fake/pid && kill -0 $(cat /run/fake/pid)"); after != before {
		t.Errorf("the process %s became %s", before, after)
	}
	// And one by the script that does not stay up: it puts the release before back.
	h.panel = h.panel.next(t, programs(t, "v3-crash", built(t, "v3-crash", "crash")))
	m.refuses(1, "put back to the release that ran before", script+"sh /agent.sh")
	h.runs("v2")

	// The machine is enrolled anew, with its settings as they were.
	p = h.panel.next(t, programs(t, "v2", v2))
	h.panel = p
	var key data[struct{ Command string }]
	p.must(http.StatusCreated, "POST", "/api/v1/nodes/"+string(h.id)+"/enrolment-key", nil, &key)
	m.run("touch /var/lib/berth-agent/volumes/kept && " + strings.Replace(key.Data.Command, " --listen :"+strconv.Itoa(int(port)), "", 1))
	h.runs("v2")
	m.run("test -e /var/lib/berth-agent/volumes/kept")

	m.refuses(1, "say --yes", "setsid sh /agent.sh --uninstall </dev/null")
	m.run("sh /agent.sh --uninstall --yes && test -e /var/lib/berth-agent/volumes/kept && ! test -e /etc/systemd/system/berth-agent.service && ! test -e /usr/local/lib/berth-agent")
	m.run(script + "sh /agent.sh") // its data is all it takes
	h.runs("v2")
	m.run("mkdir /var/lib/berth-agent/volumes/instance")
	m.refuses(1, "1 hosted instances are here", "sh /agent.sh --uninstall --yes --purge")
	m.run("rmdir /var/lib/berth-agent/volumes/instance")
	m.run("sh /agent.sh --uninstall --yes --purge && ! ls /var/lib/berth-agent /etc/berth/agent.env")
}
