package update

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/berth-panel/berth/shared/problem"
)

// bench is a directory of releases whose programs are scripts, and records what
// this process would become.
type bench struct {
	t      *testing.T
	dir    string
	became []string // releases
}

// script is a program that says that it is the release.
func script(release string) []byte {
	return []byte("#!/bin/sh\necho 'berth-agent " + release + ", wire 2'\n")
}

func sumOf(program []byte) string {
	sum := sha256.Sum256(program)
	return hex.EncodeToString(sum[:])
}

// setup installs v1.
func setup(t *testing.T) *bench {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: dir}
	b.install("v1")
	if err := point(dir, currentLink, sumOf(script("v1"))); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) install(release string) {
	b.t.Helper()
	path := file(b.dir, sumOf(script(release)))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, script(release), 0o755); err != nil {
		b.t.Fatal(err)
	}
}

var errStays = errors.New("this test's process stays")

// start opens the directory as the process of a release; what it becomes is
// noted.
func (b *bench) start(release string) *Updater {
	b.t.Helper()
	u := open(Options{Dir: b.dir, Log: slog.New(slog.DiscardHandler), Now: time.Now, Args: []string{"berth-agent", "serve"}, Trial: time.Hour},
		func(path string, args, _ []string) error {
			text, err := os.ReadFile(path)
			if err != nil || len(args) != 2 || args[1] != "serve" {
				b.t.Errorf("exec %s %q: %v", path, args, err)
			}
			_, rest, _ := strings.Cut(string(text), "berth-agent ")
			name, _, _ := strings.Cut(rest, ",")
			b.became = append(b.became, name)
			return errStays
		},
		func() (string, error) { return file(b.dir, sumOf(script(release))), nil })
	if u.fixed != "" {
		b.t.Fatal(u.fixed)
	}
	b.t.Cleanup(func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.timer != nil {
			u.timer.Stop()
		}
	})
	return u
}

// serve is a start that goes on to run the agent, which ends with err.
func (b *bench) serve(u *Updater, err error) error {
	return u.Run(b.t.Context(), func(ctx context.Context) error {
		if err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
}

// expect checks what the process became since the last call, and where current leads.
func (b *bench) expect(current string, became ...string) {
	b.t.Helper()
	if strings.Join(b.became, " ") != strings.Join(became, " ") {
		b.t.Errorf("it became %v, want %v", b.became, became)
	}
	b.became = nil
	if got := pointed(b.dir, currentLink); got != sumOf(script(current)) {
		b.t.Errorf("current leads to %s, want %s", got, current)
	}
}

func (b *bench) receive(u *Updater, release string) {
	b.t.Helper()
	program := script(release)
	s, err := u.Receive(b.t.Context(), release, sumOf(program), int64(len(program)), bytes.NewReader(program))
	if err != nil || !s.Trial {
		b.t.Fatalf("%+v, %v", s, err)
	}
	u.Restart()
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	u := b.start("v1")
	b.receive(u, "v2")
	if err := b.serve(u, nil); !errors.Is(err, errStays) {
		t.Error(err)
	}
	// An exec that fails is the first bad case: v1 goes on, and says so.
	if b.became[0] != "v2" {
		t.Errorf("it became %v", b.became)
	}
	b.became = nil
	b.expect("v1")
	if s := u.State(); s.Trial || s.Refused != "v2" || !strings.Contains(s.Message, "could not be started") {
		t.Errorf("%+v", s)
	}
}

// onTrial gives the process of a release that v1 has just become.
func onTrial(t *testing.T, release string) (*bench, *Updater) {
	t.Helper()
	b := setup(t)
	b.receive(b.start("v1"), release)
	b.expect(release)
	return b, b.start(release)
}

func TestKeptOnceTheControllerListens(t *testing.T) {
	t.Parallel()
	b, u := onTrial(t, "v2")
	if s := u.State(); !s.Trial {
		t.Errorf("%+v", s)
	}
	u.Listening()
	u.late()
	if s := u.State(); s.Trial || s.Refused != "" {
		t.Errorf("%+v", s)
	}
	for range 2 * trialStarts {
		u = b.start("v2")
	}
	b.expect("v2")
	// What is neither current nor previous goes when the next comes.
	b.receive(u, "v3")
	b.start("v3").Listening()
	entries, err := os.ReadDir(filepath.Join(b.dir, releasesDir))
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	if pointed(b.dir, previousLink) != sumOf(script("v2")) {
		t.Error("v2 is not the way back")
	}
}

func TestTakenBack(t *testing.T) {
	t.Parallel()
	check := func(b *bench, words string) {
		t.Helper()
		b.expect("v1", "v1")
		u := b.start("v1")
		if s := u.State(); s.Trial || s.Refused != "v2" || !strings.Contains(s.Message, words) {
			t.Errorf("%+v, want %q", s, words)
		}
		b.expect("v1")
		b.receive(u, "v2") // it may be tried again, and what was refused is over with
		if s := u.State(); s.Refused != "" {
			t.Errorf("%+v", s)
		}
	}
	b, _ := onTrial(t, "v2") // it crashes at every start, the first one counted already
	b.start("v2")
	b.start("v2")
	b.expect("v2")
	b.start("v2")
	check(b, "ended 3 times")

	b, u := onTrial(t, "v2") // it hangs
	u.late()
	check(b, "no controller listened")

	b, u = onTrial(t, "v2") // it can't run
	failure := errors.New("open the journal: no")
	if err := b.serve(u, failure); !errors.Is(err, failure) {
		t.Error(err)
	}
	check(b, "open the journal: no")
}

// A good release that ends with an error is nothing that the one before would
// do better.
func TestAnErrorOfAKeptReleaseChangesNothing(t *testing.T) {
	t.Parallel()
	b, u := onTrial(t, "v2")
	u.Listening()
	if err := b.serve(u, errors.New("the disk is gone")); err == nil {
		t.Error("the error is lost")
	}
	b.expect("v2")
}

// The timer is the real one here.
func TestTrialEndsByItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.receive(b.start("v1"), "v2")
	became := make(chan string, 1)
	u := open(Options{Dir: b.dir, Log: slog.New(slog.DiscardHandler), Now: time.Now, Trial: time.Millisecond},
		func(path string, _, _ []string) error { became <- path; return errStays },
		func() (string, error) { return file(b.dir, sumOf(script("v2"))), nil })
	select {
	case path := <-became:
		if path != file(b.dir, sumOf(script("v1"))) {
			t.Errorf("it became %s", path)
		}
	case <-time.After(30 * time.Second):
		t.Error("nothing happened")
	}
	u.mu.Lock()
	defer u.mu.Unlock()
}

// Killed at each step: the state that is left leads to one release or the other.
func TestKilledHalfway(t *testing.T) {
	t.Parallel()
	v1, v2 := sumOf(script("v1")), sumOf(script("v2"))
	noted := func(b *bench, tr trial) {
		t.Helper()
		b.install("v2")
		tr.Sum, tr.Release, tr.Previous = v2, "v2", v1
		if err := save(b.dir, state{Trial: &tr}); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("before the note", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.install("v2")
		if s := b.start("v1").State(); s.Trial || s.Refused != "" {
			t.Errorf("%+v", s)
		}
		b.expect("v1")
	})
	t.Run("between the note and the switch", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		noted(b, trial{})
		b.start("v1")
		if b.became[0] != "v2" {
			t.Errorf("it became %v", b.became)
		}
	})
	t.Run("between giving up and the switch", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		noted(b, trial{Starts: 2, GivenUp: "it hung"})
		if err := point(b.dir, currentLink, v2); err != nil {
			t.Fatal(err)
		}
		b.start("v2")
		b.expect("v1", "v1")
		if s := b.start("v1").State(); s.Refused != "v2" || s.Message != "it hung" {
			t.Errorf("%+v", s)
		}
	})
	t.Run("between the switch back and its note", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		noted(b, trial{Starts: 2, GivenUp: "it hung"})
		if s := b.start("v1").State(); s.Trial || s.Refused != "v2" || s.Message != "it hung" {
			t.Errorf("%+v", s)
		}
		b.expect("v1")
	})
	t.Run("installed by hand during a trial", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		noted(b, trial{Starts: 1})
		b.install("v3")
		if err := point(b.dir, currentLink, sumOf(script("v3"))); err != nil {
			t.Fatal(err)
		}
		if s := b.start("v3").State(); s.Trial {
			t.Errorf("%+v", s)
		}
		b.expect("v3")
	})
	t.Run("a note that can't be read", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, text := range []string{"{", `{"trial":{"sha256":"../../etc","previous":"x"}}`} {
			if err := os.WriteFile(filepath.Join(b.dir, stateFile), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if s := b.start("v1").State(); s.Trial {
				t.Errorf("%+v", s)
			}
		}
		b.expect("v1")
	})
}

func TestRefusedPrograms(t *testing.T) {
	t.Parallel()
	good := script("v2")
	for name, tt := range map[string]struct {
		release, sum string
		program      []byte
		size         int64
		cut          bool
		code         problem.Code
		words        string
	}{
		"altered":           {"v2", sumOf(good), append(script("v2"), '\n'), -1, false, problem.BadRequest, "SHA-256"},
		"too short":         {"v2", sumOf(good), good[:5], int64(len(good)), false, problem.BadRequest, "5 of "},
		"cut off":           {"v2", sumOf(good), good, -1, true, problem.Internal, "nothing was changed"},
		"another machine's": {"v2", "", []byte("\x7fELF\x02\x01\x01 not for here"), -1, false, problem.Conflict, "does not run on this machine"},
		"another release":   {"v9", sumOf(good), good, -1, false, problem.Conflict, "not release v9"},
		"a longer release":  {"v2.1", sumOf(good), good, -1, false, problem.Conflict, "not release v2.1"},
		"failing":           {"v2", "", []byte("#!/bin/sh\necho broken\nexit 3\n"), -1, false, problem.Conflict, "exit status 3 (broken)"},
		"a path for a sum":  {"v2", "../../../../../../../../../../../../../../../../../../../etc/x/y/z.z", good, -1, false, problem.Validation, "sha256"},
		"no release":        {"", sumOf(good), good, -1, false, problem.Validation, "release"},
		"too large":         {"v2", sumOf(good), good, maxProgram + 1, false, problem.TooLarge, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			u := b.start("v1")
			if tt.sum == "" {
				tt.sum = sumOf(tt.program)
			}
			var from io.Reader = bytes.NewReader(tt.program)
			if tt.cut {
				from = io.MultiReader(bytes.NewReader(tt.program[:9]), iotest.ErrReader(io.ErrUnexpectedEOF))
			}
			_, err := u.Receive(t.Context(), tt.release, tt.sum, tt.size, from)
			if !problem.Is(err, tt.code) || !strings.Contains(err.Error(), tt.words) {
				t.Errorf("%v, want %s and %q", err, tt.code, tt.words)
			}
			u.Restart()
			if err := b.serve(u, errStays); !errors.Is(err, errStays) {
				t.Error(err)
			}
			b.expect("v1")
			entries, err := os.ReadDir(filepath.Join(b.dir, releasesDir))
			if err != nil || len(entries) != 1 {
				t.Errorf("what came is left: %v, %v", entries, err)
			}
			if _, err := os.Stat(filepath.Join(b.dir, stateFile)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a trial was noted: %v", err)
			}
		})
	}
}

// A disk that is full, and one that fills up while the program comes.
func TestRoom(t *testing.T) {
	t.Parallel()
	if err := roomFor(t.TempDir(), 1<<60); !problem.Is(err, problem.InsufficientResources) {
		t.Error(err)
	}
	if err := explain(&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}); !problem.Is(err, problem.InsufficientResources) {
		t.Error(err)
	}
}

func TestOneAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	u := b.start("v1")
	read, write := io.Pipe()
	first := make(chan error, 1)
	program := script("v2")
	go func() {
		_, err := u.Receive(t.Context(), "v2", sumOf(program), -1, read)
		first <- err
	}()
	if _, err := write.Write(program); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Receive(t.Context(), "v3", sumOf(script("v3")), -1, bytes.NewReader(script("v3"))); !problem.Is(err, problem.ResourceBusy) {
		t.Error(err)
	}
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	if _, err := u.Receive(t.Context(), "v3", sumOf(script("v3")), -1, bytes.NewReader(script("v3"))); !problem.Is(err, problem.ResourceBusy) {
		t.Errorf("during a trial: %v", err)
	}
	b.expect("v2")
}

func TestTheSameAgainIsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	u := b.start("v1")
	s, err := u.Receive(t.Context(), "v1", sumOf(script("v1")), -1, bytes.NewReader(nil))
	if err != nil || s.Trial {
		t.Errorf("%+v, %v", s, err)
	}
	b.expect("v1")
}

func TestFixed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	elsewhere := func() (string, error) { return "/usr/bin/berth-agent", nil }
	for words, o := range map[string]Options{
		"by hand":                         {},
		"can't be read":                   {Dir: filepath.Join(dir, "missing")},
		"/usr/bin/berth-agent was not st": {Dir: dir},
	} {
		o.Log, o.Now = slog.New(slog.DiscardHandler), time.Now
		u := open(o, nil, elsewhere)
		if s := u.State(); !strings.Contains(s.Fixed, words) || s.Release == "" || s.Arch == "" {
			t.Errorf("%+v, want %q", s, words)
		}
		if _, err := u.Receive(t.Context(), "v2", sumOf(nil), 0, bytes.NewReader(nil)); !problem.Is(err, problem.Conflict) {
			t.Error(err)
		}
		u.Listening()
		u.Restart()
		if err := u.Run(t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Error(err)
		}
	}
}

// Told to end while an update waits: the process ends, and the next start is
// the new release's.
func TestToldToEnd(t *testing.T) {
	t.Parallel()
	b := setup(t)
	u := b.start("v1")
	b.receive(u, "v2")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := u.Run(ctx, func(ctx context.Context) error { <-ctx.Done(); return nil }); err != nil {
		t.Error(err)
	}
	b.expect("v2")
}
