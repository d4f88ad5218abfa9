package app

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// relay stands between an agent and its engine: it can be cut.
type relay struct {
	host  string // of the relay
	to    string
	mu    sync.Mutex
	away  bool
	conns map[net.Conn]struct{}
}

func newRelay(t *testing.T, host string) *relay {
	t.Helper()
	to, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		t.Skip("this test needs an engine on a unix socket")
	}
	dir, err := os.MkdirTemp("", "bt") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &relay{host: "unix://" + filepath.Join(dir, "s"), to: to, conns: map[net.Conn]struct{}{}}
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { r.carry(in) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.cut(true)
		open.Wait()
	})
	return r
}

func (r *relay) carry(in net.Conn) {
	defer func() { _ = in.Close() }()
	out, err := net.Dial("unix", r.to)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	r.mu.Lock()
	if r.away {
		r.mu.Unlock()
		return
	}
	r.conns[in], r.conns[out] = struct{}{}, struct{}{}
	r.mu.Unlock()
	var there sync.WaitGroup
	there.Go(func() {
		_, _ = io.Copy(out, in)
		if c, ok := out.(*net.UnixConn); ok {
			_ = c.CloseWrite()
		}
	})
	_, _ = io.Copy(in, out)
	_ = in.Close()
	there.Wait()
}

// cut closes every connection and refuses new ones, or lets them be again.
func (r *relay) cut(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
	for c := range r.conns {
		_ = c.Close()
		delete(r.conns, c)
	}
}
