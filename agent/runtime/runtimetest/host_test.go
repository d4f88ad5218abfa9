package runtimetest

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// verdict is a testing.TB that notes how a test would end.
type verdict struct {
	testing.TB
	skipped, failed string
}

func (v *verdict) Helper() {}
func (v *verdict) Skipf(format string, args ...any) {
	v.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// ask runs DockerHost as a test would.
func ask(t *testing.T) (host string, v *verdict) {
	t.Helper()
	v = &verdict{TB: t}
	var ended sync.WaitGroup
	ended.Go(func() { host = DockerHost(v) })
	ended.Wait()
	return host, v
}

// TestDockerHost sets the environment, so it does not run beside others.
func TestDockerHost(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "tcp://" + l.Addr().String()
	_ = l.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/_ping" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer server.Close()
	engine := "tcp://" + server.Listener.Addr().String()

	t.Setenv(EnvDocker, "")
	t.Setenv("DOCKER_HOST", nobody)
	t.Setenv(EnvHost, "")
	if _, v := ask(t); v.failed != "" || !strings.Contains(v.skipped, nobody) {
		t.Errorf("without an engine: skipped %q, failed %q", v.skipped, v.failed)
	}
	t.Setenv(EnvDocker, "required")
	if _, v := ask(t); v.skipped != "" || !strings.Contains(v.failed, nobody) {
		t.Errorf("without an engine that is required: skipped %q, failed %q", v.skipped, v.failed)
	}
	t.Setenv(EnvHost, engine)
	if host, v := ask(t); host != engine || v.skipped+v.failed != "" {
		t.Errorf("with an engine: %q, skipped %q, failed %q", host, v.skipped, v.failed)
	}
	t.Setenv(EnvHost, "gopher://x")
	if _, v := ask(t); v.failed == "" {
		t.Error("an address of no kind is taken for an engine")
	}
}

func TestFreePort(t *testing.T) {
	t.Parallel()
	seen := map[uint16]bool{}
	for range 50 {
		port := FreePort(t)
		if seen[port] || port < 1024 {
			t.Fatalf("port %d was drawn", port)
		}
		seen[port] = true
	}
}

func TestDrawNetwork(t *testing.T) {
	t.Parallel()
	for range 200 {
		if _, err := DrawNetwork().Validate(); err != nil {
			t.Fatal(err)
		}
	}
}
