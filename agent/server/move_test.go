package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// carrier is a scripted agent/move.
type carrier struct {
	mu      sync.Mutex
	calls   []string
	fails   error
	send    func(ctx context.Context, w io.Writer) error
	receive func(r io.Reader, cut func()) error
}

func (c *carrier) told(what string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, what)
	return c.fails
}

func (c *carrier) Staged() []ident.Instance { return []ident.Instance{"0123abce"} }
func (c *carrier) Announce(in wire.Incoming) (wire.IncomingState, error) {
	return wire.IncomingState{Image: wire.ImagePulling}, c.told("announce " + string(in.Instance))
}
func (c *carrier) Incoming(id ident.Instance) (wire.IncomingState, error) {
	return wire.IncomingState{Image: wire.ImageReady}, c.told("incoming " + string(id))
}
func (c *carrier) Drop(id ident.Instance) error { return c.told("drop " + string(id)) }
func (c *carrier) Compare(_ context.Context, id ident.Instance, page wire.EntryPage) (wire.Needs, error) {
	return wire.Needs{Changed: len(page.Entries)}, c.told("compare " + string(id))
}
func (c *carrier) Entries(_ context.Context, id ident.Instance, query wire.EntryQuery) (wire.EntryPage, error) {
	return wire.EntryPage{After: query.After}, c.told("entries " + string(id))
}
func (c *carrier) Digest(id ident.Instance, incoming bool) (wire.Digest, error) {
	if incoming {
		return wire.Digest{Done: true}, c.told("incoming digest " + string(id))
	}
	return wire.Digest{Done: true}, c.told("digest " + string(id))
}
func (c *carrier) Send(ctx context.Context, id ident.Instance, _ wire.Needs, w io.Writer) error {
	if err := c.told("send " + string(id)); err != nil {
		return err
	}
	return c.send(ctx, w)
}
func (c *carrier) Receive(_ context.Context, id ident.Instance, _ int64, r io.Reader, cut func()) (wire.Received, error) {
	if err := c.told("receive " + string(id)); err != nil {
		return wire.Received{}, err
	}
	return wire.Received{Files: 1}, c.receive(r, cut)
}

func carrying(t *testing.T) (*bundle, *carrier) {
	b, c := setup(t), &carrier{}
	c.send = func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "frames")
		return err
	}
	c.receive = func(r io.Reader, _ func()) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	b.door.Moves = c
	return b, c
}

func TestEveryCallOfAMoveArrives(t *testing.T) {
	t.Parallel()
	b, c := carrying(t)
	var out map[string]any
	for _, call := range []struct {
		method, path, body string
		status             int
		told               string
	}{
		{"PUT", "/v1/incoming/0123abcd", `{"instance":"0123abcd","spec":{"instance":"0123abcd","generation":1,"image":{"reference":""},"env":[],"limits":{"memory_mib":0,"nano_cpus":0,"disk_mib":0,"pids":0},"ports":[],"volume":"","tty":false,"stop":{"grace_seconds":0},"install":{},"power":{"want":"","order":0},"suspended":false}}`, 202, "announce 0123abcd"},
		{"GET", "/v1/incoming/0123abcd", "", 200, "incoming 0123abcd"},
		{"POST", "/v1/incoming/0123abcd/compare", `{"after":"","entries":[]}`, 200, "compare 0123abcd"},
		{"PUT", "/v1/incoming/0123abcd/content?bytes=5", "12345", 200, "receive 0123abcd"},
		{"GET", "/v1/incoming/0123abcd/digest", "", 200, "incoming digest 0123abcd"},
		{"POST", "/v1/volumes/0123abcd/entries", `{"after":"","limit":5}`, 200, "entries 0123abcd"},
		{"GET", "/v1/volumes/0123abcd/digest", "", 200, "digest 0123abcd"},
	} {
		status, p := b.call(call.method, call.path, call.body, &out)
		if status != call.status || len(c.calls) == 0 || c.calls[len(c.calls)-1] != call.told {
			t.Errorf("%s %s: %d %v, told %v", call.method, call.path, status, p, c.calls)
		}
		c.fails = problem.New(problem.ResourceBusy, "not now")
		if status, p := b.call(call.method, call.path, call.body, &out); status != 423 || p.Message != "not now" {
			t.Errorf("%s %s is refused with %d %v", call.method, call.path, status, p)
		}
		c.fails = nil
	}
	var inventory wire.Inventory
	if _, p := b.call("GET", wire.PathInstances, "", &inventory); len(inventory.Incoming) != 1 {
		t.Errorf("the inventory is %+v, %v", inventory, p)
	}
}

func TestCallsOfAMoveThatAreNone(t *testing.T) {
	t.Parallel()
	b, c := carrying(t)
	for _, call := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/incoming", "", 404},
		{"GET", "/v1/incoming/", "", 422},
		{"GET", "/v1/incoming/0123abcd/", "", 200}, // as without the slash
		{"GET", "/v1/incoming/../etc", "", 422},
		{"GET", "/v1/volumes/0123ABCD/digest", "", 422},
		{"GET", "/v1/volumes/0123abcd", "", 404},
		{"GET", "/v1/volumes/0123abcd/other", "", 404},
		{"GET", "/v1/volumes/0123abcd/digest/x", "", 404},
		{"POST", "/v1/volumes/0123abcd/digest", "", 405},
		{"PUT", "/v1/incoming/0123abcd", `{"instance":"0123abce"}`, 422},
		{"PUT", "/v1/incoming/0123abcd", `{`, 400},
		{"PUT", "/v1/incoming/0123abcd/content", "x", 422},
		{"PUT", "/v1/incoming/0123abcd/content?bytes=-1", "x", 422},
		{"POST", "/v1/incoming/0123abcd/compare", `{"entries":[{"path":"%zz"}]}`, 400},
		{"POST", "/v1/incoming/0123abcd/compare", strings.Repeat(" ", wire.MaxPage+1), 413},
		{"POST", "/v1/volumes/0123abcd/content", `{"unknown":1}`, 400},
	} {
		var out map[string]any
		if status, p := b.call(call.method, call.path, call.body, &out); status != call.status {
			t.Errorf("%s %s %.20s: %d %v, want %d", call.method, call.path, call.body, status, p, call.status)
		}
	}
	if len(c.calls) != 1 {
		t.Errorf("told %v", c.calls)
	}
	b.door.Moves = nil
	var out map[string]any
	if status, _ := b.call("GET", "/v1/incoming/0123abcd", "", &out); status != 409 {
		t.Errorf("an agent without moves answers %d", status)
	}
}

func TestDroppingAnswersNothing(t *testing.T) {
	t.Parallel()
	b, _ := carrying(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "https://"+b.addr+"/v1/incoming/0123abcd", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := b.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		t.Errorf("it answers %d", answer.StatusCode)
	}
}

func TestContentOfASource(t *testing.T) {
	t.Parallel()
	b, c := carrying(t)
	get := func() (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+b.addr+"/v1/volumes/0123abcd/content", strings.NewReader(`{"files":[],"changed":0}`))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := b.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	if status, text := get(); status != 200 || text != "frames" {
		t.Errorf("%d %q", status, text)
	}
	c.send = func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "told in the frames")
		return errors.Join(err, errors.New("the disk is broken"))
	}
	if status, text := get(); status != 200 || text != "told in the frames" {
		t.Errorf("a failure on the way: %d %q", status, text)
	}
	c.send = func(context.Context, io.Writer) error { return problem.New(problem.NotFound, "no such volume") }
	if status, text := get(); status != 404 || !strings.Contains(text, "no such volume") {
		t.Errorf("a refusal: %d %q", status, text)
	}
}

// TestRefusalIsHeardWhileContentComes: who sends without an end must learn why
// nobody takes it, and not only that the line broke.
func TestRefusalIsHeardWhileContentComes(t *testing.T) {
	t.Parallel()
	b, c := carrying(t)
	c.receive = func(r io.Reader, _ func()) error {
		if _, err := io.ReadFull(r, make([]byte, 1<<20)); err != nil {
			return err
		}
		return problem.New(problem.InsufficientResources, "the disk is full")
	}
	for range 20 {
		r, w := io.Pipe()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://"+b.addr+"/v1/incoming/0123abcd/content?bytes=1", r)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := b.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != 507 || !strings.Contains(string(text), "the disk is full") {
			t.Errorf("%d %q, %v", answer.StatusCode, text, err)
		}
		_ = r.Close()
		<-ended
	}
}

func TestContentThatIsCut(t *testing.T) {
	t.Parallel()
	b, c := carrying(t)
	c.receive = func(r io.Reader, cut func()) error {
		time.AfterFunc(time.Millisecond, cut) // a newer call, while this one waits
		if _, err := io.ReadAll(r); err == nil {
			return errors.New("a read that was cut went on to the end")
		}
		return problem.New(problem.Conflict, "a newer call")
	}
	r, w := io.Pipe() // nothing ever comes
	defer func() { _ = w.Close() }()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://"+b.addr+"/v1/incoming/0123abcd/content?bytes=1", r)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := b.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusConflict {
		t.Errorf("it answers %d", answer.StatusCode)
	}
}

// TestContentsEndMayComeLate: the frames say themselves where they end, and the
// request's own end comes a moment after. The connection is good for the next call.
func TestContentsEndMayComeLate(t *testing.T) {
	t.Parallel()
	b, c := carrying(t)
	read := make(chan struct{})
	c.receive = func(r io.Reader, _ func()) error {
		_, err := io.ReadFull(r, make([]byte, len("frames")))
		read <- struct{}{}
		return err
	}
	transport, ok := b.client.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("the client's transport is a %T", b.client.Transport)
	}
	dialer := tls.Dialer{Config: transport.TLSClientConfig}
	conn, err := dialer.DialContext(t.Context(), "tcp", b.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	for n := range 5 {
		if _, err := io.WriteString(conn, "PUT /v1/incoming/0123abcd/content?bytes=6 HTTP/1.1\r\nHost: agent\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nframes\r\n"); err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
		select {
		case <-read:
		case <-time.After(time.Minute):
			t.Fatalf("call %d was not heard", n)
		}
		time.Sleep(20 * time.Millisecond) // whoever answers too early does it now
		if _, err := io.WriteString(conn, "0\r\n\r\n"); err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
		answer, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatalf("call %d: %v", n, err)
		}
		_, err = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("call %d: %d, %v", n, answer.StatusCode, err)
		}
	}
}
