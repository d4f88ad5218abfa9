package faults

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// spawner starts processes from one thread that lives as long as the program:
// the kernel ends our children when the thread that made them ends.
var spawner = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// process is a program that is kept running, as a machine's service manager
// would, until it is told otherwise.
type process struct {
	name  string
	argv  []string
	env   []string
	log   string // file that its output is added to
	clean func() // before each start; may be nil
	story *story

	mu     sync.Mutex
	cmd    *exec.Cmd
	ended  chan struct{} // closed when cmd has ended
	wanted bool
	frozen bool
	starts int
}

// start runs it; one that runs already is left alone.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted = true
	if p.cmd != nil {
		return nil
	}
	return p.spawn()
}

// spawn needs the lock.
func (p *process) spawn() error {
	if p.clean != nil {
		p.clean()
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	p.starts++
	_, _ = fmt.Fprintf(out, "=== %s: start %d of %s\n", p.story.now(), p.starts, p.name)
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Env = append(os.Environ(), p.env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	spawner() <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.cmd, p.frozen, p.ended = cmd, false, make(chan struct{})
	go p.watch(cmd, p.ended)
	return nil
}

// watch waits for the end of a process, and starts it again when nobody meant it
// to end.
func (p *process) watch(cmd *exec.Cmd, ended chan struct{}) {
	err := cmd.Wait()
	p.mu.Lock()
	p.cmd = nil
	again := p.wanted
	close(ended)
	p.mu.Unlock()
	if !again {
		return
	}
	p.story.tell("%s ENDED BY ITSELF: %v", p.name, err)
	time.Sleep(time.Second)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted && p.cmd == nil {
		if err := p.spawn(); err != nil {
			p.story.tell("%v", err)
		}
	}
}

// end sends a signal and waits for the end; after the grace it is killed.
func (p *process) end(signal syscall.Signal, grace time.Duration) {
	p.mu.Lock()
	p.wanted = false
	cmd, ended := p.cmd, p.ended
	if cmd != nil {
		_ = cmd.Process.Signal(signal)
		if p.frozen && signal != syscall.SIGKILL {
			_ = cmd.Process.Signal(syscall.SIGCONT)
		}
	}
	p.mu.Unlock()
	if cmd == nil {
		return
	}
	select {
	case <-ended:
	case <-time.After(grace):
		_ = cmd.Process.Kill()
		<-ended
	}
}

// awaitEnd waits until the process that a file names has ended: an engine's
// containerd ends with it, a moment later, and an engine that is started within
// that moment takes it for a living one and waits for it in vain.
func awaitEnd(pidfile string) {
	text, err := os.ReadFile(pidfile)
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline) && !zombie(pid); time.Sleep(20 * time.Millisecond) {
		if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); strings.TrimSpace(string(name)) != "containerd" {
			return
		}
	}
}

// kill is kill -9.
func (p *process) kill() { p.end(syscall.SIGKILL, time.Minute) }

// freeze stops it without its knowing; thaw lets it go on.
func (p *process) freeze() { p.signal(syscall.SIGSTOP, true) }

func (p *process) thaw() { p.signal(syscall.SIGCONT, false) }

func (p *process) signal(s syscall.Signal, frozen bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s)
		p.frozen = frozen
	}
}

// confessions are lines of the log that no fault excuses.
func (p *process) confessions() []string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		for _, word := range []string{"DATA RACE", "panic: ", "fatal error: ", "panicked", "unexpected fault address"} {
			if strings.Contains(line, word) {
				found = append(found, p.name+" said: "+strings.TrimSpace(line))
				break
			}
		}
	}
	return found
}

// story is the log of a run: what was done and what went wrong, each line with
// the seconds since the beginning.
type story struct {
	began time.Time
	mu    sync.Mutex
	file  *os.File
	lines []string
}

func newStory(path string) (*story, error) {
	file, err := os.Create(path)
	return &story{began: time.Now(), file: file}, err
}

// now is the time on the story's clock.
func (s *story) now() string { return fmt.Sprintf("%8.3f", time.Since(s.began).Seconds()) }

func (s *story) tell(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := s.now() + "  " + fmt.Sprintf(format, args...)
	s.lines = append(s.lines, line)
	_, _ = s.file.WriteString(line + "\n")
}

// text is the last lines of it.
func (s *story) text(most int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	if len(lines) > most {
		lines = append([]string{fmt.Sprintf("… %d lines before", len(lines)-most)}, lines[len(lines)-most:]...)
	}
	return strings.Join(lines, "\n")
}
