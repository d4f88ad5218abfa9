package server

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// shelf is a scripted agent/update.
type shelf struct {
	mu        sync.Mutex
	received  string
	fails     error
	restarts  int
	listening int
}

func (s *shelf) State() wire.ReleaseState { return wire.ReleaseState{Release: "v1", Arch: "amd64"} }

func (s *shelf) Receive(_ context.Context, release, sum string, size int64, program io.Reader) (wire.ReleaseState, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		return wire.ReleaseState{}, s.fails // without reading a byte
	}
	text, err := io.ReadAll(program)
	if size != int64(len(text)) {
		err = io.ErrShortBuffer
	}
	s.received = release + " " + sum + " " + string(text[:min(len(text), 20)])
	return wire.ReleaseState{Release: "v1", Arch: "amd64", Trial: true}, err
}

func (s *shelf) Restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restarts++
}

func (s *shelf) Listening() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listening++
}

func TestRelease(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var state wire.ReleaseState
	if status, p := b.call("GET", wire.PathRelease, "", &state); status != http.StatusConflict || p.Code != problem.Conflict {
		t.Errorf("without releases: %d %+v", status, p)
	}
	s := &shelf{}
	b.door.Releases = s
	if status, _ := b.call("GET", wire.PathRelease, "", &state); status != http.StatusOK || state.Release != "v1" {
		t.Errorf("%d %+v", status, state)
	}
	if status, _ := b.call("PUT", wire.PathRelease+"?release=v2&sha256=ab", "the program", &state); status != http.StatusAccepted || !state.Trial {
		t.Errorf("%d %+v", status, state)
	}
	s.mu.Lock()
	if s.received != "v2 ab the program" || s.restarts > 1 {
		t.Errorf("%+v", s.received)
	}
	s.fails = problem.New(problem.ResourceBusy, "another is on its way")
	s.mu.Unlock()
	// A refusal is heard although the program was still being sent.
	if status, p := b.call("PUT", wire.PathRelease+"?release=v3&sha256=ab", strings.Repeat("x", 20<<20), &state); status != http.StatusLocked || p.Message != "another is on its way" {
		t.Errorf("%d %+v", status, p)
	}
	if status, _ := b.call("POST", wire.PathRelease, "", &state); status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", status)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.restarts != 1 {
		t.Errorf("%d restarts", s.restarts)
	}
}
