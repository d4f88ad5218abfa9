package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/berth-panel/berth/agent/supervisor/talk"
)

// tryWithin is how long the program may take to show that it can be run.
const tryWithin = 10 * time.Second

// What an agent's directory for it holds: what containers see, and what they don't.
const (
	seenDir  = "containers"
	livesDir = "lives"
)

// Supervisor has the directory that containers see, the socket in it, and the
// records of programs that began again. It is safe for concurrent use.
type Supervisor struct {
	dir      string
	lives    *lives
	log      *slog.Logger
	now      func() time.Time
	listener *net.UnixListener
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
	home, err := filepath.Abs(o.Dir) // engines mount no other
	if err != nil {
		return nil, fmt.Errorf("find the supervisor's directory: %w", err)
	}
	lives, err := openLives(filepath.Join(home, livesDir))
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(home, seenDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the supervisor's directory: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask
		return nil, fmt.Errorf("open the supervisor's directory to containers: %w", err)
	}
	if err := install(filepath.Join(dir, talk.Program), o.Program); err != nil {
		return nil, err
	}
	at := filepath.Join(dir, filepath.Base(talk.Socket))
	if err := os.Remove(at); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the socket of before: %w", err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: at, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for containers: %w", err)
	}
	if err := os.Chmod(at, 0o666); err != nil { // containers have any user
		return nil, errors.Join(fmt.Errorf("open the socket to containers: %w", err), listener.Close())
	}
	return &Supervisor{dir: dir, lives: lives, log: o.Log, now: o.Now, listener: listener}, nil
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
	if err := os.Chmod(at, 0o755); err != nil { //nolint:gosec // likewise
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

// Dir is the directory on the host that is mounted at talk.Dir.
func (s *Supervisor) Dir() string { return s.dir }

// Close ends the listening; calls that wait are for who took them.
func (s *Supervisor) Close() error { return s.listener.Close() }
