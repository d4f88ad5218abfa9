package docker_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// TestPullRefused pulls from registries that fail in each way that can be made
// here, through the real engine.
func TestPullRefused(t *testing.T) {
	t.Parallel()
	host := runtimetest.DockerHost(t)
	engine := newEngine(t, host)
	answer := func(status int, code, message string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			runtimetest.AnswerError(w, status, code, message)
			return true
		}
	}
	for what, c := range map[string]struct {
		refuse func(http.ResponseWriter, *http.Request) bool
		want   runtime.Reason
	}{
		"no such repository":  {answer(http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry"), runtime.ImageNotFound},
		"no such tag":         {answer(http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown"), runtime.ImageNotFound},
		"denied":              {answer(http.StatusForbidden, "DENIED", "requested access to the resource is denied"), runtime.ImageDenied},
		"a login is needed":   {answer(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required"), runtime.ImageDenied},
		"too many pulls":      {answer(http.StatusTooManyRequests, "TOOMANYREQUESTS", "You have reached your pull rate limit."), runtime.RegistryLimited},
		"out of order":        {answer(http.StatusServiceUnavailable, "UNAVAILABLE", "service unavailable"), runtime.RegistryDown},
		"an error page":       {brokenPage, runtime.RegistryDown},
		"a closed connection": {hangUp, runtime.RegistryDown},
	} {
		registry := runtimetest.NewRegistry(t)
		reference := registry.Offer(t, host, "bt/game")
		registry.RefuseBy(c.refuse)
		err := engine.Pull(t.Context(), reference, runtime.Login{}, nil)
		text := wantReason(t, what, err, c.want)
		if !strings.Contains(text, registry.Address) {
			t.Errorf("%s: the sentence %q does not name the registry", what, text)
		}
		if _, err := engine.Image(t.Context(), reference); runtime.ReasonOf(err) != runtime.ImageMissing {
			t.Errorf("%s: afterwards Image gives %v", what, err)
		}
	}
}

func brokenPage(w http.ResponseWriter, _ *http.Request) bool {
	w.WriteHeader(http.StatusBadGateway)
	_, _ = w.Write([]byte("<html>502</html>"))
	return true
}

func hangUp(w http.ResponseWriter, _ *http.Request) bool {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
	return true
}

// TestPullNobodyThere: nothing listens at the registry's address.
func TestPullNobodyThere(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, runtimetest.DockerHost(t))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	err = engine.Pull(t.Context(), address+"/bt/game:1", runtime.Login{}, nil)
	wantReason(t, "a closed port", err, runtime.RegistryDown)
	err = engine.Pull(t.Context(), "registry.invalid/bt/game:1", runtime.Login{}, nil) // a name that by definition does not resolve
	wantReason(t, "no such host", err, runtime.RegistryDown)
}

func TestPullForeignMachine(t *testing.T) {
	t.Parallel()
	engine := newEngine(t, runtimetest.DockerHost(t))
	err := engine.Pull(t.Context(), runtimetest.NewRegistry(t).OfferForeign(t, "bt/game"), runtime.Login{}, nil)
	wantReason(t, "an image for another machine", err, runtime.ImageWrongArch)
}

// TestPullChoosesItsMachine: of an image for several machines that for the engine's.
func TestPullChoosesItsMachine(t *testing.T) {
	t.Parallel()
	host := runtimetest.DockerHost(t)
	engine := newEngine(t, host)
	reference := runtimetest.NewRegistry(t).OfferMany(t, host, "bt/many")
	if err := engine.Pull(t.Context(), reference, runtime.Login{}, nil); err != nil {
		t.Fatal(err)
	}
	image, err := engine.Image(t.Context(), reference)
	if err != nil || !slices.Equal(image.Command, []string{"/file-0"}) {
		t.Errorf("it pulled %+v, %v", image, err)
	}
}

// TestPullCancelled: a pull that is under way ends with its context.
func TestPullCancelled(t *testing.T) {
	t.Parallel()
	host := runtimetest.DockerHost(t)
	engine, registry := newEngine(t, host), runtimetest.NewRegistry(t)
	reference := registry.Offer(t, host, "bt/game")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	released := make(chan struct{})
	defer close(released)
	registry.RefuseBy(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/blobs/") {
			cancel() // the layers are asked for: the pull is under way, and hangs
			select {
			case <-released:
			case <-r.Context().Done():
			}
		}
		return false
	})
	if err := engine.Pull(ctx, reference, runtime.Login{}, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("Pull: %v, want the context's error", err)
	}
}
