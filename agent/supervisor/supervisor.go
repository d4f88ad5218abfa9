package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/berth-panel/berth/agent/supervisor/talk"
)

// tryWithin is how long the program may take to show that it can be run.
const tryWithin = 10 * time.Second

// What an agent's directory for it holds.
const (
	doorsDir = "containers" // of each instance what its container sees
	livesDir = "lives"      // what no container sees
)

// Supervisor has the program, the doors of instances, and the records of programs
// that ended and began again. It is safe for concurrent use.
type Supervisor struct {
	dir   string
	log   *slog.Logger
	now   func() time.Time
	lives *lives

	mu     sync.Mutex
	doors  map[string]*door
	handle func(*Call)
	closed bool
	served sync.WaitGroup
}

// Options say where it is, and what it has. All are required.
type Options struct {
	Dir     string // the agent's directory for it, which is made
	Program []byte // see Program
	Log     *slog.Logger
	Now     func() time.Time // the wall clock
}

// Open makes the directory what the package's doc says. The error says why containers
// can't have that: then nothing listens.
func Open(o Options) (*Supervisor, error) {
	dir, err := filepath.Abs(o.Dir) // engines mount no other
	if err != nil {
		return nil, fmt.Errorf("find the supervisor's directory: %w", err)
	}
	lives, err := openLives(filepath.Join(dir, livesDir))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, doorsDir), 0o700); err != nil {
		return nil, fmt.Errorf("make the supervisor's directory: %w", err)
	}
	if err := install(filepath.Join(dir, talk.Program), o.Program); err != nil {
		return nil, err
	}
	return &Supervisor{dir: dir, lives: lives, log: o.Log, now: o.Now, doors: map[string]*door{}}, nil
}

// install puts the program at a path, where containers may be running it: it is
// replaced as a whole, and only by another one.
func install(at string, program []byte) error {
	if there, err := os.ReadFile(at); err != nil || !bytes.Equal(there, program) {
		part := at + ".part"
		if err := write(part, program); err != nil {
			return fmt.Errorf("write the supervisor's program: %w", err)
		}
		if err := os.Rename(part, at); err != nil {
			return fmt.Errorf("put the supervisor's program in place: %w", err)
		}
	}
	if err := os.Chmod(at, 0o755); err != nil { //nolint:gosec // any user of a container runs it
		return fmt.Errorf("make the supervisor's program one that can be run: %w", err)
	}
	return try(at)
}

// write makes the file. A process that is begun while it is open would have it open
// too until it is another program, and what is open for writing can't be run.
func write(at string, program []byte) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(at, program, 0o755) //nolint:gosec // any user of a container runs it
}

// try runs the program once: a directory may lie where nothing can be run.
func try(at string) error {
	process, err := os.StartProcess(at, []string{at, talk.Try}, &os.ProcAttr{})
	if err != nil {
		return fmt.Errorf("run the supervisor's program: %w", err)
	}
	late := time.AfterFunc(tryWithin, func() { _ = process.Kill() })
	defer late.Stop()
	state, err := process.Wait()
	if err != nil {
		return fmt.Errorf("run the supervisor's program: %w", err)
	}
	if !state.Success() {
		return fmt.Errorf("run the supervisor's program: %s", state)
	}
	return nil
}

// Serve has handle called for each call, one at a time of each instance, from a
// goroutine of its door's. It is called once, before any Door.
func (s *Supervisor) Serve(handle func(*Call)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handle = handle
}

var instanceName = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z-]{0,63}$`)

// Door gives the directory on the host that an instance's container has mounted at
// talk.Dir, with the program and a socket that is listened at, both for that
// instance alone. One that is there already costs a look into a map.
func (s *Supervisor) Door(instance string) (dir string, err error) {
	if !instanceName.MatchString(instance) {
		return "", fmt.Errorf("%.80q can't have a directory", instance)
	}
	dir = filepath.Join(s.dir, doorsDir, instance)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", os.ErrClosed
	}
	if s.doors[instance] != nil {
		return dir, nil
	}
	if err := s.furnish(dir); err != nil {
		return "", err
	}
	d, err := s.openDoor(dir)
	if err != nil {
		return "", err
	}
	s.doors[instance] = d
	s.served.Go(d.serve)
	return dir, nil
}

// furnish makes a door's directory, with the program of this agent: the same file in
// all of them, so that containers share its memory.
func (s *Supervisor) furnish(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make an instance's directory for the supervisor: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask
		return fmt.Errorf("open a directory to a container: %w", err)
	}
	part := filepath.Join(dir, talk.Program+".part")
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a part of before: %w", err)
	}
	if err := os.Link(filepath.Join(s.dir, talk.Program), part); err != nil {
		return fmt.Errorf("give a container the supervisor's program: %w", err)
	}
	if err := os.Rename(part, filepath.Join(dir, talk.Program)); err != nil {
		return fmt.Errorf("give a container the supervisor's program: %w", err)
	}
	// Renamed onto the same file, it stays where it was.
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("give a container the supervisor's program: %w", err)
	}
	return nil
}

// Drop closes an instance's door and removes its directory, once no container has it.
func (s *Supervisor) Drop(instance string) {
	if !instanceName.MatchString(instance) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.doors[instance]; d != nil {
		d.close()
		delete(s.doors, instance)
	}
	if err := os.RemoveAll(filepath.Join(s.dir, doorsDir, instance)); err != nil {
		s.log.Warn("an instance's directory of the supervisor's is left", "instance", instance, "error", err)
	}
}

// Prune drops what is left of instances that have no container any more. It is for
// an agent's start, while nothing is made.
func (s *Supervisor) Prune(instances []string) {
	entries, err := os.ReadDir(filepath.Join(s.dir, doorsDir))
	if err != nil {
		s.log.Warn("the supervisor's directories can't be looked through", "error", err)
	}
	for _, e := range entries {
		if !slices.Contains(instances, e.Name()) {
			s.Drop(e.Name())
		}
	}
}

// Close ends the listening, and waits for who is listened to.
func (s *Supervisor) Close() error {
	s.mu.Lock()
	s.closed = true
	for instance, d := range s.doors {
		d.close()
		delete(s.doors, instance)
	}
	s.mu.Unlock()
	s.served.Wait()
	return nil
}
