package enrol

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/wire"
)

// options enrol at the controller into a new directory.
func (c *controller) options(t *testing.T) Options {
	t.Helper()
	return Options{
		Controller: c.server.URL, Key: c.key.String(), Dir: filepath.Join(t.TempDir(), "data"), Now: time.Now,
		Agent: wire.EnrolAgent{Name: "a", Port: 8443, Tags: []string{"eu"}, MemoryMiB: 1024, DiskMiB: 2048},
	}
}

func TestEnrol(t *testing.T) {
	t.Parallel()
	c := newController(t)
	o := c.options(t)
	identity, err := Enrol(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if identity.Node != node || identity.Controller != c.server.URL || identity.Certificate.Leaf == nil {
		t.Errorf("identity %+v", identity)
	}
	want := o.Agent
	want.Release, want.Wire = "dev", wire.Version
	if !reflect.DeepEqual(c.request.Agent, want) {
		t.Errorf("the agent said %+v", c.request.Agent)
	}
	text, err := json.Marshal(c.request)
	if err != nil || strings.Contains(string(text), strings.Split(o.Key, ".")[2]) {
		t.Errorf("the secret was sent (%v)", err)
	}
	for name, mode := range map[string]os.FileMode{keyFile: 0o600, certFile: 0o644, caFile: 0o644, nodeFile: 0o644} {
		info, err := os.Stat(filepath.Join(o.Dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	entries, err := os.ReadDir(o.Dir)
	if err != nil || len(entries) != 4 {
		t.Errorf("the directory holds %v", entries)
	}
	if info, err := os.Stat(o.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is %v", info.Mode())
	}
	if again, err := Load(o.Dir); err != nil || again.Node != node {
		t.Errorf("loaded %+v, %v", again, err)
	}
}

func TestEnrolThroughTheEnvelopeAndBehindAPath(t *testing.T) {
	t.Parallel()
	c := newController(t)
	c.respond = func(w http.ResponseWriter, a wire.EnrolAnswer) bool {
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"success": true, "data": a})
		return true
	}
	proxy := httptest.NewTLSServer(http.StripPrefix("/berth", c)) // of a certificate that nobody knows
	defer proxy.Close()
	o := c.options(t)
	o.Controller = proxy.URL + "/berth/"
	if _, err := Enrol(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func TestEnrolTwiceNeedsForce(t *testing.T) {
	t.Parallel()
	c := newController(t)
	o := c.options(t)
	if _, err := Enrol(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(o.Dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Enrol(t.Context(), o); err == nil || !strings.Contains(err.Error(), "--force") || !strings.Contains(err.Error(), string(node)) {
		t.Errorf("the second time: %v", err)
	}
	if c.calls != 1 {
		t.Errorf("%d calls: the key was used for nothing", c.calls)
	}
	o.Force = true
	if _, err := Enrol(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(filepath.Join(o.Dir, keyFile)); err != nil || string(after) == string(before) {
		t.Errorf("the key is the old one (%v)", err)
	}
}

func TestClockThatIsWrongIsNamed(t *testing.T) {
	t.Parallel()
	c := newController(t)
	o := c.options(t)
	o.Now = func() time.Time { return time.Now().Add(-3 * time.Hour) }
	_, err := Enrol(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "(the controller's differs by ") || !strings.Contains(err.Error(), "set the clocks right") {
		t.Errorf("the error is %v", err)
	}
	nothingKept(t, o.Dir)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		body   string
		words  string
	}{
		"used":            {409, `{"success":false,"error":{"code":"CONFLICT","message":"the enrolment key was used already"},"request_id":"r"}`, "the controller refuses: the enrolment key was used already"},
		"expired":         {403, `{"success":false,"error":{"code":"FORBIDDEN","message":"the enrolment key has expired"}}`, "has expired"},
		"terminal codes":  {403, `{"success":false,"error":{"code":"FORBIDDEN","message":"\u001b[2Jclear\u202ened"}}`, "refuses: [2Jclearned"},
		"a web server":    {404, `<html>not found</html>`, "no Berth controller (HTTP status 404)"},
		"a happy one":     {200, `{}`, "no Berth controller (HTTP status 200)"},
		"half an answer":  {201, `{"node":`, "can't be read"},
		"an empty answer": {201, `{}`, "was not made with this enrolment key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newController(t)
			c.respond = func(w http.ResponseWriter, _ wire.EnrolAnswer) bool {
				w.WriteHeader(tt.status)
				_, _ = fmt.Fprint(w, tt.body)
				return true
			}
			o := c.options(t)
			if _, err := Enrol(t.Context(), o); err == nil || !strings.Contains(err.Error(), tt.words) || strings.ContainsRune(err.Error(), 0x1b) {
				t.Errorf("the error is %q, want %q in it", err, tt.words)
			}
			nothingKept(t, o.Dir)
		})
	}
	t.Run("unknown key", func(t *testing.T) {
		t.Parallel()
		c := newController(t)
		o := c.options(t)
		other := c.key
		other.Secret = make([]byte, 32)
		o.Key = other.String()
		if _, err := Enrol(t.Context(), o); err == nil || !strings.Contains(err.Error(), "the enrolment key is unknown") {
			t.Errorf("the error is %v", err)
		}
	})
	t.Run("redirect", func(t *testing.T) {
		t.Parallel()
		c := newController(t)
		away := httptest.NewServer(http.RedirectHandler("https://panel.example/api/v1/enrol", http.StatusMovedPermanently))
		defer away.Close()
		o := c.options(t)
		o.Controller = away.URL
		if _, err := Enrol(t.Context(), o); err == nil || !strings.Contains(err.Error(), "https://panel.example/api/v1/enrol: use that address") {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestNoControllerThere(t *testing.T) {
	t.Parallel()
	c := newController(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := c.options(t)
	o.Controller = "http://" + listener.Addr().String()
	_ = listener.Close()
	if _, err := Enrol(t.Context(), o); err == nil || !strings.Contains(err.Error(), "can't be reached at "+o.Controller) {
		t.Errorf("the error is %v", err)
	}
	for _, address := range []string{"", "panel.example", "ftp://panel.example", "http://"} {
		o.Controller = address
		if _, err := Enrol(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is not the controller's address") {
			t.Errorf("%q: %v", address, err)
		}
	}
	o.Controller, o.Key = c.server.URL, "hello"
	if _, err := Enrol(t.Context(), o); err == nil || !strings.Contains(err.Error(), "not an enrolment key") {
		t.Errorf("a key that is none: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Enrol(ctx, c.options(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

func TestLoadRefusesWhatDoesNotBelongTogether(t *testing.T) {
	t.Parallel()
	c := newController(t)
	donor := c.options(t)
	if _, err := Enrol(t.Context(), donor); err != nil {
		t.Fatal(err)
	}
	otherCA := newController(t)
	stranger := otherCA.options(t)
	if _, err := Enrol(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	for name, ruin := range map[string]func(t *testing.T, dir string){
		"another key": func(t *testing.T, dir string) {
			move(t, filepath.Join(donor.Dir, keyFile), filepath.Join(dir, keyFile))
		},
		"another CA": func(t *testing.T, dir string) {
			move(t, filepath.Join(stranger.Dir, caFile), filepath.Join(dir, caFile))
		},
		"no key":            func(t *testing.T, dir string) { remove(t, filepath.Join(dir, keyFile)) },
		"no certificate":    func(t *testing.T, dir string) { remove(t, filepath.Join(dir, certFile)) },
		"no CA":             func(t *testing.T, dir string) { remove(t, filepath.Join(dir, caFile)) },
		"node.json garbage": func(t *testing.T, dir string) { put(t, filepath.Join(dir, nodeFile), "{") },
		"another node":      func(t *testing.T, dir string) { put(t, filepath.Join(dir, nodeFile), `{"node":"other"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newController(t)
			o := c.options(t)
			if _, err := Enrol(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			ruin(t, o.Dir)
			if _, err := Load(o.Dir); err == nil || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), "--force") {
				t.Errorf("the error is %v", err)
			}
			if _, err := Enrol(t.Context(), o); err == nil {
				t.Error("a damaged identity was replaced without --force")
			}
			o.Force = true
			if _, err := Enrol(t.Context(), o); err != nil {
				t.Errorf("with --force: %v", err)
			}
		})
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	put(t, to, string(text))
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
