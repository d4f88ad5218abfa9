package docker_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// wantReason fails the test unless err has the reason; it gives the sentence.
func wantReason(t *testing.T, what string, err error, want runtime.Reason) string {
	t.Helper()
	if runtime.ReasonOf(err) != want {
		t.Fatalf("%s: %v, want %s", what, err, want)
	}
	return err.Error()
}

// TestStartRefused: what Docker's init would hide is found before the start, and
// the rest is said by Docker.
func TestStartRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for what, c := range map[string]struct {
		change func(*runtime.ContainerSpec)
		want   runtime.Reason
		words  string
	}{
		"a command that is not there": {func(s *runtime.ContainerSpec) { s.Entrypoint = []string{"/bin/game"} }, runtime.CommandNotFound, `"/bin/game" is not in the image`},
		"one that no PATH leads to":   {func(s *runtime.ContainerSpec) { s.Entrypoint = []string{"game"} }, runtime.CommandNotFound, `"game" is not in the image`},
		"a text":                      {func(s *runtime.ContainerSpec) { s.Entrypoint = []string{"/etc/notes"} }, runtime.CommandNotFound, `"/etc/notes" is not a program`},
		"a directory":                 {func(s *runtime.ContainerSpec) { s.Entrypoint = []string{"/etc"} }, runtime.CommandNotFound, `"/etc" is not a program`},
		"a link to nowhere":           {func(s *runtime.ContainerSpec) { s.Entrypoint = []string{"/etc/nowhere"} }, runtime.CommandNotFound, "/etc/nowhere"},
		"a user who is not there":     {func(s *runtime.ContainerSpec) { s.User = "nobody2" }, runtime.InvalidSpec, "user nobody2 is not in the image"},
	} {
		spec := b.spec("idle")
		c.change(&spec)
		id := b.create(t, spec)
		if text := wantReason(t, what, b.engine.Start(t.Context(), id), c.want); !strings.Contains(text, c.words) {
			t.Errorf("%s: the sentence is %q, want %q in it", what, text, c.words)
		}
		if got := b.inspect(t, id); got.Status != runtime.Created {
			t.Errorf("%s: it is %s afterwards", what, got.Status)
		}
		if err := b.engine.Remove(t.Context(), id); err != nil {
			t.Errorf("%s: Remove: %v", what, err)
		}
	}
}

// TestStartFinds: commands are looked for where the kernel would.
func TestStartFinds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := t.TempDir()
	if err := os.Symlink("/probe", filepath.Join(dir, "linked")); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*runtime.ContainerSpec){
		"by a path":               func(s *runtime.ContainerSpec) { s.Entrypoint = []string{"/probe"} },
		"by the PATH":             func(s *runtime.ContainerSpec) { s.Entrypoint, s.Env = []string{"probe"}, []string{"PATH=/nope:/"} },
		"from a directory":        func(s *runtime.ContainerSpec) { s.Entrypoint, s.WorkingDir = []string{"./probe"}, "/" },
		"through the root":        func(s *runtime.ContainerSpec) { s.Entrypoint = []string{"/etc/../probe"} },
		"through a link, mounted": func(s *runtime.ContainerSpec) { s.Entrypoint = []string{"/data/linked"} },
	} {
		spec := b.spec("exit", "6")
		spec.Mounts = []runtime.Mount{{Source: dir, Target: "/data"}}
		change(&spec)
		if c := b.ended(t, b.start(t, spec)); c.ExitCode != 6 {
			t.Errorf("%s: it left %+v", what, c)
		}
	}
}

// TestCommandInMount: what was found in a mount is looked for again.
func TestCommandInMount(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := t.TempDir()
	link := filepath.Join(dir, "game")
	if err := os.Symlink("/probe", link); err != nil {
		t.Fatal(err)
	}
	spec := b.spec("exit", "6")
	spec.Entrypoint = []string{"/data/game"}
	spec.Mounts = []runtime.Mount{{Source: dir, Target: "/data"}}
	id := b.start(t, spec)
	b.ended(t, id)
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	wantReason(t, "Start without the file", b.engine.Start(t.Context(), id), runtime.CommandNotFound)
	if err := os.Symlink("/probe", link); err != nil {
		t.Fatal(err)
	}
	if err := b.engine.Start(t.Context(), id); err != nil {
		t.Fatalf("Start with the file again: %v", err)
	}
}

// TestNotExecutable: a program for no machine starts, and init's last words are
// the container's error.
func TestNotExecutable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, tty := range []bool{false, true} {
		spec := b.spec()
		spec.Entrypoint, spec.TTY = []string{"/etc/garbage"}, tty
		c := b.ended(t, b.start(t, spec))
		if c.ExitCode == 0 || !strings.Contains(c.Error, `the start command "/etc/garbage"`) {
			t.Errorf("with a terminal: %v, it left %+v", tty, c)
		}
	}
	spec := b.spec("lines", "3", "then", "exit", "127")
	if c := b.ended(t, b.start(t, spec)); c.Error != "" {
		t.Errorf("a program that ends with 127 by itself has the error %q", c.Error)
	}
}

func TestMounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "absolute")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../../../../../etc/passwd", filepath.Join(dir, "relative")); err != nil {
		t.Fatal(err)
	}
	spec := b.spec("write", "/data/made", "inside", "then", "idle")
	spec.Mounts = []runtime.Mount{{Source: dir, Target: "/data"}}
	id := b.start(t, spec)
	if got := b.file(t, id, "/data/made"); got != "inside" {
		t.Fatalf("the container has %q", got)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "made")); err != nil || string(text) != "inside" {
		t.Fatalf("the host has %q, %v", text, err)
	}
	// A volume's owner may put any link there: it never leads to the host.
	for _, path := range []string{"/data/absolute", "/data/relative"} {
		if got := b.file(t, id, path); got != runtimetest.Passwd {
			t.Fatalf("%s gives %q, want the container's file", path, got)
		}
	}

	spec = b.spec("read", "/data/made", "then", "write", "/data/made", "changed")
	spec.Mounts = []runtime.Mount{{Source: dir, Target: "/data", ReadOnly: true}}
	if c := b.ended(t, b.start(t, spec)); c.ExitCode != 70 {
		t.Fatalf("writing where it may only read, it is %+v", c)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "made")); err != nil || string(text) != "inside" {
		t.Fatalf("the host has %q, %v", text, err)
	}

	spec = b.spec("idle")
	spec.Mounts = []runtime.Mount{{Source: filepath.Join(dir, "missing"), Target: "/data"}}
	_, err := b.engine.Create(t.Context(), spec)
	text := wantReason(t, "Create with a directory that is missing", err, runtime.InvalidSpec)
	if !strings.HasPrefix(text, "a directory that the container mounts is missing on this node") {
		t.Fatalf("the sentence is %q", text)
	}
	if _, err := os.Stat(filepath.Join(dir, "missing")); !os.IsNotExist(err) {
		t.Fatalf("the directory was made: %v", err)
	}
}

// TestMountGone: the directory vanishes between Create and Start.
func TestMountGone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dir := filepath.Join(t.TempDir(), "volume")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	spec := b.spec("idle")
	spec.Mounts = []runtime.Mount{{Source: dir, Target: "/data"}}
	id := b.create(t, spec)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	text := wantReason(t, "Start", b.engine.Start(t.Context(), id), runtime.InvalidSpec)
	if !strings.HasPrefix(text, "a directory that the container mounts is missing on this node") {
		t.Fatalf("the sentence is %q", text)
	}
	if err := b.engine.Remove(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}

// TestPaused: a container that somebody paused by hand can be started, stopped,
// killed and removed.
func TestPaused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for what, c := range map[string]struct {
		do   func(runtime.ContainerID) error
		want runtime.Status
		code int
	}{
		"Start": {func(id runtime.ContainerID) error { return b.engine.Start(t.Context(), id) }, runtime.Running, 0},
		"Stop": {func(id runtime.ContainerID) error {
			return b.engine.Stop(t.Context(), id, runtime.StopSpec{Grace: time.Minute})
		}, runtime.Exited, 0},
		"Stop by command": {func(id runtime.ContainerID) error {
			return b.engine.Stop(t.Context(), id, runtime.StopSpec{Command: "stop", Grace: time.Minute})
		}, runtime.Exited, 0},
		"Kill": {func(id runtime.ContainerID) error { return b.engine.Kill(t.Context(), id) }, runtime.Exited, 137},
	} {
		id := b.start(t, b.spec("write", "/tmp/begun", "yes", "then", "idle"))
		b.file(t, id, "/tmp/begun")
		if err := b.raw.ContainerPause(t.Context(), string(id)); err != nil {
			t.Fatal(err)
		}
		if got := b.inspect(t, id); got.Status != runtime.Paused {
			t.Fatalf("paused, it is %s", got.Status)
		}
		if err := c.do(id); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := b.inspect(t, id); got.Status != c.want || got.ExitCode != c.code {
			t.Errorf("after %s it is %+v", what, got)
		}
	}
	id := b.start(t, b.spec("idle"))
	if err := b.raw.ContainerPause(t.Context(), string(id)); err != nil {
		t.Fatal(err)
	}
	if err := b.engine.Remove(t.Context(), id); err != nil {
		t.Errorf("Remove: %v", err)
	}
}
