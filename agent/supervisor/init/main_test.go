package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// asInit has this test binary be the program.
const asInit = "BERTH_TEST_AS_INIT"

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(asInit) != "":
		main()
		return
	case os.Getenv(asNextLife) != "":
		between()
		return
	}
	os.Exit(m.Run())
}

// asNextLife has this test binary do what comes between two lives, and then read as
// the next one.
const asNextLife = "BERTH_TEST_AS_NEXT_LIFE"

func between() {
	s := lookAtStreams()
	s.drain()
	s.restore()
	_, _ = os.Stdout.WriteString("drained\n")
	_, _ = io.Copy(os.Stdout, os.Stdin)
}

// TestTypedToTheLastLife is not read by the next one.
func TestTypedToTheLastLife(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = read.Close(), write.Close() }()
	if _, err := write.WriteString("stop\n" + strings.Repeat("x", 10_000) + "\n"); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "/proc/self/exe")
	c.Env, c.Stdin = append(os.Environ(), asNextLife+"=1"), read
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if said, err := lines.ReadString('\n'); said != "drained\n" || err != nil {
		t.Fatalf("%q, %v", said, err)
	}
	if _, err := write.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	if said, err := lines.ReadString('\n'); said != "hello\n" || err != nil {
		t.Errorf("it reads %q, %v", said, err)
	}
	_, _ = write.Close(), read.Close()
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

// start runs it with arguments, in a folder.
func start(t *testing.T, dir string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	var said bytes.Buffer
	c := exec.CommandContext(t.Context(), "/proc/self/exe", args...)
	c.Dir, c.Env, c.Stdout, c.Stderr = dir, append(os.Environ(), asInit+"=1"), &said, &said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, &said
}

func code(t *testing.T, c *exec.Cmd) int {
	t.Helper()
	var failed *exec.ExitError
	if err := c.Wait(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode()
}

func TestEndsAsItsProgramDoes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"bare": "exit 5\n", "plain": "not for us"} {
		mode := os.FileMode(0o755)
		if name == "plain" {
			mode = 0o644
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, try := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"sh", "-c", "echo $1; exit 0", "x", "a b"}, 0, "a b\n"},
		{[]string{"/bin/sh", "-c", "exit 9"}, 9, ""},
		{[]string{"sh", "-c", "kill -SEGV $$"}, 128 + 11, ""},
		{[]string{"./bare"}, 5, ""}, // a script that names no shell
		{[]string{"./none"}, 127, "[FATAL berth-init] exec ./none failed: no such file or directory\n"},
		{[]string{"no-such-program"}, 127, "[FATAL berth-init] exec no-such-program failed: no such file or directory\n"},
		{[]string{"./plain"}, 126, "[FATAL berth-init] exec ./plain failed: permission denied\n"},
		{[]string{"--try"}, 0, ""},
		{nil, 125, "[FATAL berth-init] exec  failed: invalid argument\n"},
	} {
		c, said := start(t, dir, try.args...)
		if got := code(t, c); got != try.code || said.String() != try.says {
			t.Errorf("%q ends with %d and says %q, want %d and %q", try.args, got, said, try.code, try.says)
		}
	}
}

// TestEnvironmentIsThePrograms: variables that Go programs obey are for the program, as
// they are, and change nothing here.
func TestEnvironmentIsThePrograms(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	c := exec.CommandContext(t.Context(), "/proc/self/exe", "sh", "-c", "env | grep -E 'GO(DEBUG|GC)|INIT_' | sort")
	c.Env = []string{asInit + "=1", "PATH=" + os.Getenv("PATH"), "GODEBUG=schedtrace=1,inittrace=1", "GOGC=off"}
	c.Stdout, c.Stderr = &said, &said
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	// What the first of the two that are begun prints comes before, cut off anywhere.
	if !strings.HasSuffix(said.String(), "GODEBUG=schedtrace=1,inittrace=1\nGOGC=off\n") {
		t.Errorf("it is %q", said.String())
	}
}

// TestStreamsOfTheNextLife are as those of the first.
func TestStreamsOfTheNextLife(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = read.Close(), write.Close() }()
	before := stream{}
	before.flags, _, _ = syscall.Syscall(syscall.SYS_FCNTL, write.Fd(), syscall.F_GETFL, 0)
	if err := syscall.SetNonblock(int(write.Fd()), true); err != nil {
		t.Fatal(err)
	}
	before.restore(int(write.Fd()))
	if now := look(int(write.Fd())); now != before {
		t.Errorf("it is %+v, want %+v", now, before)
	}
}

func TestPassesSignalsOn(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGQUIT, syscall.SIGWINCH} {
		fifo := filepath.Join(t.TempDir(), "ready")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(map[syscall.Signal]string{
			syscall.SIGTERM: "TERM", syscall.SIGINT: "INT", syscall.SIGHUP: "HUP", syscall.SIGUSR1: "USR1", syscall.SIGQUIT: "QUIT", syscall.SIGWINCH: "WINCH",
		}[s], "SIG")
		c, _ := start(t, "/", "sh", "-c", "trap 'exit 7' "+name+"; echo >"+fifo+"; while :; do sleep 0.01; done")
		if _, err := os.ReadFile(fifo); err != nil { // until the trap stands
			t.Fatal(err)
		}
		if err := c.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		if got := code(t, c); got != 7 {
			t.Errorf("sent %s, it ends with %d", s, got)
		}
	}
}

func TestCandidates(t *testing.T) {
	t.Setenv("PATH", "/a::/b")
	for command, want := range map[string][]string{"x": {"/a/x", "./x", "/b/x"}, "./x": {"./x"}, "/x": {"/x"}} {
		if got := candidates(command); !slices.Equal(got, want) {
			t.Errorf("%s is looked for at %q, want %q", command, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"oom_kill_disable 0\nunder_oom 0\noom_kill 3\n": 3, "low 0\noom 4\noom_kill 2\noom_group_kill 0": 2, "oom_kill_disable 5\n": -1, "": -1, "oom_kill x": -1,
	} {
		n, found := count(text, "oom_kill ")
		if !found {
			n = -1
		}
		if n != want {
			t.Errorf("%q counts %d, want %d", text, n, want)
		}
	}
}
