package transfer

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// TestStreamsThatAreCutEndBadly: whoever reads slowly holds nothing open, and never
// takes half of an answer for all of it.
func TestStreamsThatAreCutEndBadly(t *testing.T) {
	t.Parallel()
	n := setup(t)
	f, err := os.Create(filepath.Join(n.data, "big"))
	must(t, err)
	must(t, f.Truncate(1<<30)) // a hole
	must(t, f.Close())
	bundle, err := json.Marshal(wire.FileBundle{Folder: ".", Format: wire.ArchiveTar})
	must(t, err)
	for _, call := range []struct {
		method, path string
		body         []byte
	}{{"GET", "content?path=big", nil}, {"POST", "bundle", bundle}} {
		req, err := http.NewRequest(call.method, n.door.URL+"/"+string(one)+"/"+call.path, bytes.NewReader(call.body))
		must(t, err)
		answer, err := n.door.Client().Do(req)
		must(t, err)
		_, err = io.ReadFull(answer.Body, make([]byte, 1000))
		must(t, err)
		n.store.Cut(one, problem.New(problem.Conflict, "it is being moved")) // returns when nothing is open
		size, err := io.Copy(io.Discard, answer.Body)
		if err == nil || size >= 1<<30-1000 {
			t.Errorf("%s: %d bytes, %v", call.path, size, err)
		}
		_ = answer.Body.Close()
	}
	n.put("f", "and it goes on")
}

// TestACutDoesNotWaitForWhoComesLater: who reads again and again would hold it,
// and with it a removal.
func TestACutDoesNotWaitForWhoComesLater(t *testing.T) {
	t.Parallel()
	n := setup(t)
	y, looked, cut := n.store.yard(one), make(chan struct{}), make(chan struct{})
	first := &call{cancel: func(error) { close(looked) }}
	y.mu.Lock()
	y.calls[first] = struct{}{}
	before := y.admit()
	y.mu.Unlock()
	go func() {
		defer close(cut)
		n.store.Cut(one, errCancelled)
	}()
	<-looked
	later := y.enter() // Cut holds the lock until it knows whom it waits for
	y.leave(before)
	<-cut
	y.leave(later)
	y.mu.Lock()
	defer y.mu.Unlock()
	delete(y.calls, first)
}

// TestADownloadOfWhatShrinksBreaksOff: what was promised doesn't come, and that
// shows.
func TestADownloadOfWhatShrinksBreaksOff(t *testing.T) {
	t.Parallel()
	n := setup(t)
	path := filepath.Join(n.data, "big")
	f, err := os.Create(path)
	must(t, err)
	defer func() { _ = f.Close() }()
	must(t, f.Truncate(64<<20))
	req, err := http.NewRequest("GET", n.door.URL+"/"+string(one)+"/content?path=big", nil)
	must(t, err)
	answer, err := n.door.Client().Do(req)
	must(t, err)
	defer func() { _ = answer.Body.Close() }()
	must(t, f.Truncate(1000)) // what fits in nobody's buffer was not read yet
	if size, err := io.Copy(io.Discard, answer.Body); err == nil || size >= 64<<20 {
		t.Errorf("%d bytes of %d, %v", size, answer.ContentLength, err)
	}
}
