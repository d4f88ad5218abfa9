package supervisor_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/agent/supervisor"
)

const container = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// TestStrangersAreHungUpOn calls from a process that is no container's first, as
// anybody in a container could: what it says is never heard.
func TestStrangersAreHungUpOn(t *testing.T) {
	t.Parallel()
	s := runtimetest.Supervisor(t, t.TempDir())
	s.Serve(func(c *supervisor.Call) {
		t.Errorf("a stranger was taken for %+v", c)
		c.Close()
	})
	dir, err := s.Door("one")
	if err != nil {
		t.Fatal(err)
	}
	for _, says := range []string{"ended 0\n", "", "\x00\xff", strings.Repeat("ended ", 10_000)} {
		conn, err := net.Dial("unix", filepath.Join(dir, "agent"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, says) // it may be hung up on already
		if answer, err := io.ReadAll(conn); len(answer) > 0 {
			t.Errorf("it was answered %q, %v", answer, err)
		}
		_ = conn.Close()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("unix", filepath.Join(dir, "agent")); err == nil {
		t.Error("closed, it listens")
	}
}

// TestDoors gives each instance a directory that no other has.
func TestDoors(t *testing.T) {
	t.Parallel()
	s := runtimetest.Supervisor(t, t.TempDir())
	for _, name := range []string{"", ".", "..", "../x", "a/b", "a\x00", strings.Repeat("a", 65)} {
		if dir, err := s.Door(name); err == nil {
			t.Errorf("%q has %s", name, dir)
		}
		s.Drop(name)
	}
	doors := map[string]os.FileInfo{}
	for _, name := range []string{"one", "two", "three", "one"} {
		dir, err := s.Door(name)
		if err != nil {
			t.Fatal(err)
		}
		program, err := os.Stat(filepath.Join(dir, "init"))
		if err != nil || program.Mode().Perm() != 0o755 {
			t.Fatalf("%s: %v, %v", name, program, err)
		}
		if doors[dir] = program; !os.SameFile(program, doors[filepath.Join(filepath.Dir(dir), "one")]) {
			t.Errorf("%s has a program of its own", name)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 2 {
			t.Errorf("%s holds %v, %v", name, entries, err)
		}
	}
	s.Prune([]string{"two"})
	s.Drop("four")
	for dir := range doors {
		if _, err := os.Stat(dir); (err == nil) != strings.HasSuffix(dir, "two") {
			t.Errorf("pruned, %s is there: %v", dir, err)
		}
	}
}

func TestLivesAreRemembered(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	s := runtimetest.Supervisor(t, home)
	now := time.Now().UTC()
	life := supervisor.Life{Run: now.Add(-time.Hour), Began: now, Ended: now.Add(-time.Second), Over: true, Code: 3}
	other := strings.Repeat("f", 64)
	for _, id := range []string{container, other} {
		if err := s.Note(id, life); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"../../passwd", "", container + "0"} {
		if s.Note(id, life) == nil {
			t.Errorf("%q was taken for a container", id)
		}
	}
	_ = s.Close()
	if err := os.WriteFile(filepath.Join(home, "lives", strings.Repeat("a", 64)), []byte(`{"run":"20`), 0o600); err != nil { // cut off
		t.Fatal(err)
	}
	again := runtimetest.Supervisor(t, home)
	if known := again.Remembered(); len(known) != 2 || !slices.Contains(known, container) || !slices.Contains(known, other) {
		t.Errorf("it remembers %q", known)
	}
	again.Forget(other)
	if got, known := again.Life(container); !known || !got.Run.Equal(life.Run) || !got.Began.Equal(life.Began) || !got.Ended.Equal(life.Ended) || !got.Over || got.Code != 3 {
		t.Errorf("it is %+v, %v, want %+v", got, known, life)
	}
	if _, known := again.Life(other); known {
		t.Error("one that was to be forgotten is known")
	}
	left, err := os.ReadDir(filepath.Join(home, "lives"))
	if err != nil || len(left) != 1 {
		t.Errorf("the records are %v, %v", left, err)
	}
}

func open(dir, program string) (*supervisor.Supervisor, error) {
	return supervisor.Open(supervisor.Options{Dir: dir, Program: []byte(program), Log: slog.New(slog.DiscardHandler), Now: time.Now})
}

// TestProgramThatCannotRun is about a machine that can't run what was built for
// another, and a directory of which nothing can be run.
func TestProgramThatCannotRun(t *testing.T) {
	t.Parallel()
	if s, err := open(t.TempDir(), "\x7fELF of another kind"); err == nil {
		_ = s.Close()
		t.Fatal("it was taken")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var path *os.PathError
	if s, err := open(filepath.Join(file, "x"), ""); !errors.As(err, &path) {
		t.Fatalf("it gave %v, %v", s, err)
	}
}

// TestOpensWhileOthersFork has programs begun all the while: one that still had the
// program open for writing would keep it from being run.
func TestOpensWhileOthersFork(t *testing.T) {
	t.Parallel()
	ended, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
				_ = exec.CommandContext(t.Context(), "/bin/true").Run()
			}
		}
	}()
	for range 100 {
		_ = runtimetest.Supervisor(t, t.TempDir()).Close()
	}
	close(stop)
	<-ended
}

// TestOpensAgain is about an agent that was killed: its socket is still there, and
// containers run its program.
func TestOpensAgain(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	for range 3 {
		s := runtimetest.Supervisor(t, home)
		dir, err := s.Door("one")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("unix", filepath.Join(dir, "agent"))
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
		_ = s.Close() // the socket stays
	}
}
