package update

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/berth-panel/berth/shared/build"
	"github.com/berth-panel/berth/shared/wire"
)

// How long and how often a release on trial may try.
const (
	trialTime   = 90 * time.Second
	trialStarts = 3
	settleTime  = 20 * time.Second // for the agent to come to rest before its program is replaced
)

// Options are the settings of an Updater.
type Options struct {
	Dir  string // of the releases; "" when the agent was not installed there
	Log  *slog.Logger
	Now  func() time.Time
	Args []string // of this process, the program's name among them
	// Trial is how long a release on trial waits for a controller; 0 is 90 s.
	Trial time.Duration
}

// Updater knows the program that runs and replaces it. Safe for concurrent use.
type Updater struct {
	dir   string
	log   *slog.Logger
	now   func() time.Time
	args  []string
	trial time.Duration
	exec  func(path string, args, env []string) error

	running string // sha256 of this program, by where it lies
	fixed   string // why it can't be replaced; "" it can
	ready   chan struct{}

	taking sync.Mutex // held while a program comes in

	mu    sync.Mutex
	state state
	next  string // sha256 of the program to become; "" none
	timer *time.Timer
}

// Open looks at where the last process stopped, and is to be called before
// anything else: of a release on trial it counts the starts. When the trial has
// failed, or was noted and not begun, this process becomes another program and
// Open does not return.
func Open(o Options) *Updater { return open(o, syscall.Exec, os.Executable) }

func open(o Options, exec func(string, []string, []string) error, executable func() (string, error)) *Updater {
	u := &Updater{dir: o.Dir, log: o.Log, now: o.Now, args: o.Args, trial: o.Trial, exec: exec, ready: make(chan struct{})}
	if u.trial <= 0 {
		u.trial = trialTime
	}
	if u.fixed = u.locate(executable); u.fixed != "" {
		return u
	}
	held, err := load(u.dir)
	if err != nil {
		u.log.Error("what was noted of the last update can't be read and is forgotten", "error", err)
	}
	u.state = held
	u.mu.Lock()
	defer u.mu.Unlock()
	u.guard()
	return u
}

// locate finds out which release this process is, and says why it can't be
// replaced if it can't.
func (u *Updater) locate(executable func() (string, error)) string {
	if u.dir == "" {
		return "its program was started by hand and is not installed as a service: run the line there that berth-controller node key prints for this node, or start the new program by hand"
	}
	dir, err := filepath.EvalSymlinks(u.dir)
	if err != nil {
		return fmt.Sprintf("its directory of releases, %s, can't be read: %s", u.dir, err)
	}
	u.dir = dir
	path, err := executable()
	if err != nil {
		return fmt.Sprintf("it can't find its own program: %s", err)
	}
	u.running = filepath.Base(filepath.Dir(path))
	if !isSum(u.running) || path != file(dir, u.running) {
		return fmt.Sprintf("its program %s was not started from %s", path, u.dir)
	}
	const writable = 2
	if err := syscall.Access(dir, writable); err != nil {
		return fmt.Sprintf("its directory of releases, %s, can't be written: %s", u.dir, err)
	}
	return ""
}

// guard goes on where the last process stopped. u.mu is held.
func (u *Updater) guard() {
	t := u.state.Trial
	switch {
	case t == nil:
	case t.GivenUp != "":
		u.giveUp(t.GivenUp)
	case u.running == t.Sum:
		u.begin(t)
	case u.running == t.Previous && t.Starts == 0: // killed between the note and the switch
		u.log.Info("an update that was interrupted goes on", "release", t.Release)
		if err := u.become(t.Sum); err != nil {
			u.giveUp(fmt.Sprintf("it could not be started: %s", err))
		}
	default: // somebody has installed another program by hand meanwhile
		u.state.Trial = nil
		u.keep()
	}
}

// begin counts a start of the release on trial.
func (u *Updater) begin(t *trial) {
	t.Starts++
	if t.Starts > trialStarts {
		u.giveUp(fmt.Sprintf("it ended %d times before a controller listened to it", trialStarts))
		return
	}
	if err := save(u.dir, u.state); err != nil { // uncounted, it could go on like this for ever
		u.giveUp(fmt.Sprintf("its start could not be noted: %s", err))
		return
	}
	u.log.Info("this release runs on trial until the controller listens to it", "release", t.Release, "start", t.Starts, "within", u.trial)
	u.timer = time.AfterFunc(u.trial, u.late)
}

func (u *Updater) late() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.state.Trial != nil && u.running == u.state.Trial.Sum {
		u.giveUp(fmt.Sprintf("no controller listened to it within %s", u.trial))
	}
}

// giveUp takes the release on trial back and becomes the one before. It returns
// in that one, or when the exec fails. u.mu is held.
func (u *Updater) giveUp(why string) {
	t := u.state.Trial
	u.log.Error("the new release is given up", "release", t.Release, "reason", why)
	t.GivenUp = why
	u.keep()
	// From here on nothing but the disk can fail, and going back matters more
	// than writing it down: whoever starts again comes by here again.
	if err := point(u.dir, currentLink, t.Previous); err != nil {
		u.log.Error("the link to the release before could not be made", "error", err)
	}
	back := t.Previous
	u.state = state{Refused: &refusal{Release: t.Release, Message: why, At: u.now().UTC()}}
	u.keep()
	if back == u.running {
		return
	}
	err := u.exec(file(u.dir, back), u.args, os.Environ())
	u.log.Error("the release before could not be started", "error", err)
}

// keep writes the state; when that fails, what was written before still leads to
// the same end.
func (u *Updater) keep() {
	if err := save(u.dir, u.state); err != nil {
		u.log.Error("the state of the update could not be written", "error", err)
	}
}

// become switches to a release that is on trial and turns into it; it returns
// only when that fails. u.mu is held.
func (u *Updater) become(sum string) error {
	if err := u.turn(sum); err != nil {
		return err
	}
	return u.exec(file(u.dir, sum), u.args, os.Environ())
}

func (u *Updater) turn(sum string) error {
	if err := point(u.dir, previousLink, u.running); err != nil {
		return err
	}
	return point(u.dir, currentLink, sum)
}

// Listening says that the controller listens to this agent's events: what runs
// is good. A trial ends well by it.
func (u *Updater) Listening() {
	u.mu.Lock()
	defer u.mu.Unlock()
	t := u.state.Trial
	if t == nil || u.running != t.Sum {
		return
	}
	done := u.state
	done.Trial, done.Refused = nil, nil
	if err := save(u.dir, done); err != nil { // the timer runs on; the next connection tries again
		u.log.Error("that the new release is good could not be written", "error", err)
		return
	}
	u.state = done
	if u.timer != nil {
		u.timer.Stop()
	}
	u.log.Info("the new release is kept", "release", t.Release)
	if err := prune(u.dir, u.running, pointed(u.dir, currentLink), pointed(u.dir, previousLink)); err != nil {
		u.log.Warn("old releases could not be removed", "error", err)
	}
}

// State says which program runs and how the last update went.
func (u *Updater) State() wire.ReleaseState {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := wire.ReleaseState{Release: build.Version, Arch: runtime.GOARCH, Fixed: u.fixed, Trial: u.state.Trial != nil}
	if r := u.state.Refused; r != nil {
		s.Refused, s.Message = r.Release, r.Message
	}
	return s
}

// Run runs the agent until it ends. When another release was taken in
// meanwhile, it ends the agent and becomes that release. An error of a release
// on trial takes it back.
func (u *Updater) Run(ctx context.Context, serve func(context.Context) error) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- serve(inner) }()
	var err error
	select {
	case err = <-done:
	case <-u.ready:
		stop()
		settled := time.NewTimer(settleTime)
		defer settled.Stop()
		select {
		case err = <-done:
		case <-settled.C: // its journal holds what it has begun, as after a crash
			u.log.Warn("the agent did not come to rest; its program is replaced all the same", "within", settleTime)
		}
	}
	if ctx.Err() != nil {
		return err // it was told to end: the next start goes on
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	switch t := u.state.Trial; {
	case u.next != "":
		failed := u.become(u.next)
		u.giveUp(fmt.Sprintf("it could not be started: %s", failed))
		return errors.Join(err, failed)
	case err != nil && t != nil && t.Sum == u.running:
		u.giveUp(fmt.Sprintf("it could not run: %s", firstLine(err.Error())))
	}
	return err
}

func firstLine(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	if r := []rune(text); len(r) > 300 {
		return string(r[:300]) + "…"
	}
	return text
}
