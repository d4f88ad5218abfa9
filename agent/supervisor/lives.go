package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"
)

// Life is a program's, of which a container's run may have several.
type Life struct {
	Run   time.Time `json:"run"`   // when the container was started, as the engine says
	Began time.Time `json:"began"` // the program, last
	Ended time.Time `json:"ended"` // the program, last, or in the life before
	Over  bool      `json:"over"`  // it has ended,
	Code  int       `json:"code"`  // with this
}

// lives are the records of programs that ended or began again in a container's run:
// the engine knows nothing of that, and an agent that is restarted has to.
type lives struct {
	dir   string
	mu    sync.Mutex
	known map[string]Life
}

var wholeID = regexp.MustCompile(`^[0-9a-f]{64}$`)

// openLives reads the records that a directory holds, which is made.
func openLives(dir string) (*lives, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of lives: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read the lives: %w", err)
	}
	l := &lives{dir: dir, known: map[string]Life{}}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		var life Life
		if err != nil || !wholeID.MatchString(e.Name()) || json.Unmarshal(text, &life) != nil {
			_ = os.Remove(filepath.Join(dir, e.Name())) // cut off: the container's own times have to do
			continue
		}
		l.known[e.Name()] = life
	}
	return l, nil
}

// Note remembers that a container's program has ended, or begins again.
func (s *Supervisor) Note(container string, life Life) error { return s.lives.note(container, life) }

// Life gives what is remembered of a container's program; false when it is in the
// life that began with the container's run.
func (s *Supervisor) Life(container string) (Life, bool) { return s.lives.of(container) }

// Remembered gives the containers that something is remembered of.
func (s *Supervisor) Remembered() []string {
	s.lives.mu.Lock()
	defer s.lives.mu.Unlock()
	return slices.Collect(maps.Keys(s.lives.known))
}

// Forget forgets a container that is gone.
func (s *Supervisor) Forget(container string) { s.lives.forget(container) }

func (l *lives) note(container string, life Life) error {
	if !wholeID.MatchString(container) {
		return fmt.Errorf("%.80q is not a container", container)
	}
	text, err := json.Marshal(life)
	if err != nil {
		return fmt.Errorf("write a life: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	at := filepath.Join(l.dir, container)
	if err := os.WriteFile(at+".part", text, 0o600); err != nil {
		return fmt.Errorf("write a life: %w", err)
	}
	if err := os.Rename(at+".part", at); err != nil {
		return fmt.Errorf("write a life: %w", err)
	}
	l.known[container] = life
	return nil
}

func (l *lives) of(container string) (Life, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	life, known := l.known[container]
	return life, known
}

func (l *lives) forget(container string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.known[container]; !known {
		return
	}
	if err := os.Remove(filepath.Join(l.dir, container)); err == nil || errors.Is(err, os.ErrNotExist) {
		delete(l.known, container)
	}
}
