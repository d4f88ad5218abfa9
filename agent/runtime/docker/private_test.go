package docker_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/docker"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

var anna = runtime.Login{Username: "anna", Password: "hush-hush"}

// private is an engine and a real registry that asks for a login.
func private(t *testing.T) (*docker.Engine, *runtimetest.Private, string) {
	t.Helper()
	host := runtimetest.DockerHost(t)
	return newEngine(t, host), runtimetest.NewPrivate(t, anna), host
}

// TestPullPrivate: with its login an image comes, layer by layer, and says its
// digest; by that digest it is had again.
func TestPullPrivate(t *testing.T) {
	t.Parallel()
	engine, registry, host := private(t)
	reference, digest := registry.Push(t, host, "team/game", "")
	var last runtime.PullProgress
	if err := engine.Pull(t.Context(), reference, anna, func(p runtime.PullProgress) { last = p }); err != nil {
		t.Fatal(err)
	}
	if len(last.Layers) != 2 || last.Layers[0].State != runtime.LayerDone || last.Layers[1].DoneBytes < 3<<20 || last.DoneBytes != last.TotalBytes {
		t.Errorf("it ended with %+v", last)
	}
	found, err := engine.Image(t.Context(), reference)
	if err != nil || found.Digest != digest {
		t.Errorf("the image is %+v, %v; its registry calls it %s", found, err, digest)
	}
	pinned, err := runtime.Pinned(reference, digest)
	if err != nil {
		t.Fatal(err)
	}
	runtimetest.DropImage(t, host, pinned)
	if err := engine.Pull(t.Context(), pinned, anna, nil); err != nil {
		t.Fatal(err)
	}
	if again, err := engine.Image(t.Context(), pinned); err != nil || again.ID != found.ID || again.Digest != digest {
		t.Errorf("by its digest it is %+v, %v", again, err)
	}
}

// TestPrivateRefusals: each way in which a real registry refuses has its sentence,
// none of which holds the password.
func TestPrivateRefusals(t *testing.T) {
	t.Parallel()
	engine, registry, host := private(t)
	reference, _ := registry.Push(t, host, "team/game", "")
	wrong := runtime.Login{Username: "anna", Password: "wr0ng-word"}
	missing, err := runtime.Pinned(reference, "sha256:"+strings.Repeat("0", 64))
	if err != nil {
		t.Fatal(err)
	}
	foreign, _ := registry.Push(t, host, "team/foreign", "s390x")
	limited := registry.Front(t, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/manifests/") {
			runtimetest.AnswerError(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "You have reached your pull rate limit.")
			return true
		}
		return false
	})
	for what, c := range map[string]struct {
		reference string
		login     runtime.Login
		want      runtime.Reason
		says      string
	}{
		"no login":        {reference, runtime.Login{}, runtime.ImageDenied, "needs a login, which an admin adds under Registries"},
		"wrong login":     {reference, wrong, runtime.ImageDenied, "to user anna: the image is not there, or the login's password is wrong"},
		"no such name":    {registry.Address + "/team/nothing:1", anna, runtime.ImageNotFound, "not found in registry " + registry.Address},
		"no such tag":     {registry.Address + "/team/game:2", anna, runtime.ImageNotFound, "not found in registry " + registry.Address},
		"no such digest":  {missing, anna, runtime.ImageNotFound, "not found in registry " + registry.Address},
		"another machine": {foreign, anna, runtime.ImageWrongArch, "is made for s390x machines, and this node is "},
		"too many pulls":  {limited + "/team/game:1", anna, runtime.RegistryLimited, "registry " + limited + " allows no more pulls for now"},
	} {
		says := wantReason(t, what, engine.Pull(t.Context(), c.reference, c.login, nil), c.want)
		if !strings.Contains(says, c.says) {
			t.Errorf("%s: it says %q, want %q", what, says, c.says)
		}
		if strings.Contains(says, anna.Password) || strings.Contains(says, wrong.Password) {
			t.Errorf("%s: the password is in %q", what, says)
		}
		if _, err := engine.Image(t.Context(), c.reference); runtime.ReasonOf(err) != runtime.ImageMissing {
			t.Errorf("%s: afterwards Image gives %v", what, err)
		}
	}
}

func TestTryLogin(t *testing.T) {
	t.Parallel()
	engine, registry, _ := private(t)
	if err := engine.TryLogin(t.Context(), registry.Address, anna); err != nil {
		t.Fatal(err)
	}
	says := wantReason(t, "a wrong password", engine.TryLogin(t.Context(), registry.Address, runtime.Login{Username: "anna", Password: "wr0ng-word"}), runtime.ImageDenied)
	if !strings.Contains(says, "refuses user anna: wrong user name or password") || strings.Contains(says, "wr0ng-word") {
		t.Errorf("it says %q", says)
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	address := strings.TrimPrefix(closed.URL, "http://")
	closed.Close()
	wantReason(t, "nobody there", engine.TryLogin(t.Context(), address, anna), runtime.RegistryDown)
	wantReason(t, "no such host", engine.TryLogin(t.Context(), "registry.invalid", anna), runtime.RegistryDown)
	limited := registry.Front(t, func(w http.ResponseWriter, _ *http.Request) bool {
		runtimetest.AnswerError(w, http.StatusTooManyRequests, "TOOMANYREQUESTS", "slow down")
		return true
	})
	wantReason(t, "too many tries", engine.TryLogin(t.Context(), limited, anna), runtime.RegistryLimited)
}

// TestRegistryThatTellsTheLogin: what a registry says of the login in its refusal
// is in no error of ours.
func TestRegistryThatTellsTheLogin(t *testing.T) {
	t.Parallel()
	engine, registry, _ := private(t)
	shown := make(chan string, 100)
	tells := registry.Front(t, func(w http.ResponseWriter, r *http.Request) bool {
		user, word, ok := r.BasicAuth()
		if !ok {
			return false
		}
		shown <- word
		runtimetest.AnswerError(w, http.StatusForbidden, "DENIED", "no "+user+" with "+word+" or "+r.Header.Get("Authorization"))
		return true
	})
	err := engine.Pull(t.Context(), tells+"/team/game:1", anna, nil)
	wantReason(t, "a pull", err, runtime.ImageDenied)
	tried := engine.TryLogin(t.Context(), tells, anna)
	wantReason(t, "a try", tried, runtime.ImageDenied)
	if word := <-shown; word != anna.Password {
		t.Fatalf("the registry was shown %q", word)
	}
	for _, err := range []error{err, tried} {
		if text := err.Error(); strings.Contains(text, anna.Password) || strings.Contains(text, "YW5uYTpodXNoLWh1c2g=") {
			t.Errorf("the login is in %q", text)
		}
	}
}

// seen keeps what a stranger was shown.
type seen struct {
	mu    sync.Mutex
	shown []string
	asked int
}

func (s *seen) note(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if a := r.Header.Get("Authorization"); a != "" {
		s.shown = append(s.shown, r.URL.Path+": "+a)
	}
}

// TestLoginStaysWithItsRegistry: a registry that sends its layers to another host
// does not thereby give it the login, and another registry never sees one.
func TestLoginStaysWithItsRegistry(t *testing.T) {
	t.Parallel()
	engine, registry, host := private(t)
	_, _ = registry.Push(t, host, "team/game", "")
	var store, stranger seen
	elsewhere := registry.Front(t, func(_ http.ResponseWriter, r *http.Request) bool {
		store.note(r)
		r.SetBasicAuth(registry.Login.Username, registry.Login.Password) // what it is a front of asks for it
		return false
	})
	sent := registry.Front(t, func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/blobs/") || r.Header.Get("Authorization") == "" {
			return false
		}
		http.Redirect(w, r, "http://"+elsewhere+r.URL.Path, http.StatusTemporaryRedirect)
		return true
	})
	reference := sent + "/team/game:1"
	runtimetest.DropImage(t, host, reference)
	if err := engine.Pull(t.Context(), reference, anna, nil); err != nil {
		t.Fatal(err)
	}
	if store.asked == 0 || len(store.shown) > 0 {
		t.Errorf("the host of the layers was asked %d times and shown %q", store.asked, store.shown)
	}
	other := registry.Front(t, func(_ http.ResponseWriter, r *http.Request) bool {
		stranger.note(r)
		return false
	})
	wantReason(t, "another registry, without a login", engine.Pull(t.Context(), other+"/team/game:1", runtime.Login{}, nil), runtime.ImageDenied)
	if stranger.asked == 0 || len(stranger.shown) > 0 {
		t.Errorf("a stranger was asked %d times and shown %q", stranger.asked, stranger.shown)
	}
}
