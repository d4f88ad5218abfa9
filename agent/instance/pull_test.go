package instance

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// keys are logins by host.
type keys map[string]runtime.Login

func (k keys) Login(host string) runtime.Login { return k[host] }

// of is a spec of one instance that runs the reference.
func of(reference string, policy wire.PullPolicy, generation int64) wire.Spec {
	spec := basic(one, generation)
	spec.Image.Reference, spec.Image.Pull = reference, policy
	return spec
}

func id(of byte) string     { return "sha256:" + strings.Repeat(string(of), 64) }
func digest(of byte) string { return id(of) }

func TestPullShowsTheLoginOfItsHost(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		login := runtime.Login{Username: "anna", Password: "hush"}
		w.stop()
		w.logins = keys{"registry.example:5000": login}
		w.boot()
		w.engine.OfferImage("registry.example:5000/game:1", fake.Offer{Login: login})
		w.engine.OfferImage("registry.example/game:1", fake.Offer{Login: login}) // another host
		w.apply(of("registry.example:5000/game:1", "", 1))
		w.running(one)
		w.apply(of("registry.example/game:1", "", 2))
		s := w.expect(one, wire.PhaseReady, wire.ActualRunning, true)
		if s.Failure == nil || s.Failure.Code != problem.Forbidden {
			t.Errorf("another host's image: %+v", s.Failure)
		}
	})
}

func TestProgressTellsLayers(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.OfferImage("big:1", fake.Offer{Bytes: 100 << 20, Takes: 20 * time.Second})
		w.apply(of("big:1", "", 1))
		w.sleep(10 * time.Second)
		told := w.events(wire.EventProgress)
		if len(told) != 1 || len(told[0].Progress.Parts) != 1 {
			t.Fatalf("told %+v", told)
		}
		if p := told[0].Progress.Parts[0]; p.Name != "layer" || p.State != "downloading" || p.DoneBytes == 0 || p.DoneBytes >= p.TotalBytes || p.TotalBytes != 100<<20 {
			t.Errorf("the layer is %+v", p)
		}
		w.sleep(20 * time.Second)
		w.running(one)
	})
}

func TestPullNever(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.OfferImage("far:1", fake.Offer{})
		w.apply(of("far:1", wire.PullNever, 1))
		s := w.expect(one, wire.PhaseFailed, wire.ActualStopped, true)
		if s.Failure == nil || s.Failure.Code != problem.NotFound || !strings.Contains(s.Failure.Message, "its pull policy is never") {
			t.Errorf("failure: %+v", s.Failure)
		}
		w.apply(of(gameImage, wire.PullNever, 2))
		w.running(one)
		if n := w.engine.Calls(fake.Pull); n != 0 {
			t.Errorf("%d pulls", n)
		}
	})
}

// TestPullAlways: each order to start asks the registry; what it has new makes the
// container anew, and nothing else does.
func TestPullAlways(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		offer := func(of byte) {
			w.engine.OfferImage("moving:1", fake.Offer{Image: runtime.Image{ID: id(of), Digest: digest(of)}})
		}
		restart := func(generation int64) wire.Spec {
			spec := of("moving:1", wire.PullAlways, generation)
			spec.Power = wire.Power{Want: wire.WantRunning, Order: generation, Restart: true}
			return spec
		}
		offer('a')
		w.apply(of("moving:1", wire.PullAlways, 1))
		first := w.running(one)
		if s := w.state(one); s.Digest != digest('a') || first.ImageID != id('a') {
			t.Errorf("it is made from %s, and says %s", first.ImageID, s.Digest)
		}
		offer('b')
		w.crash(one)
		w.sleep(time.Minute)
		if now := w.running(one); now.ID != first.ID || w.engine.Calls(fake.Pull) != 1 {
			t.Errorf("a crash fetched a new image: %d pulls", w.engine.Calls(fake.Pull))
		}
		w.apply(restart(2))
		second := w.running(one)
		if s := w.state(one); second.ID == first.ID || second.ImageID != id('b') || s.Digest != digest('b') {
			t.Errorf("after a restart it is made from %s, and says %s", second.ImageID, s.Digest)
		}
		w.apply(restart(3))
		if again := w.running(one); again.ID != second.ID {
			t.Error("the same image made the container anew")
		}
		if n := w.engine.Calls(fake.Pull); n != 3 {
			t.Errorf("%d pulls, want one for each order", n)
		}
		w.reboot()
		if s := w.state(one); s.Digest != digest('b') || w.engine.Calls(fake.Pull) != 3 {
			t.Errorf("after the agent's restart it says %q, after %d pulls", s.Digest, w.engine.Calls(fake.Pull))
		}
	})
}

// TestPullAlwaysWithTheRegistryAway: what is there serves, at once; a registry
// that refuses is heard.
func TestPullAlwaysWithTheRegistryAway(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reason runtime.Reason
		serves bool
	}{"away": {runtime.RegistryDown, true}, "limited": {runtime.RegistryLimited, true}, "denied": {runtime.ImageDenied, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, func(w *world) {
				w.engine.Fail(fake.Pull, runtime.Fail(c.reason, errors.New("dial tcp"), "the registry says no"))
				w.apply(of(gameImage, wire.PullAlways, 1))
				if c.serves {
					w.running(one)
					if log := strings.Join(w.outputs(), "\n"); log != "There may be a newer image, and the one on this node is used: the registry says no." {
						t.Errorf("the job's log has %q", log)
					}
				} else if s := w.expect(one, wire.PhaseFailed, wire.ActualStopped, true); s.Failure == nil || s.Failure.Code != problem.Forbidden {
					t.Errorf("failure: %+v", s.Failure)
				}
				if n := w.engine.Calls(fake.Pull); n != 1 {
					t.Errorf("%d tries", n)
				}
			})
		})
	}
}

// TestPinned: an instance that is pinned stays with its image when the tag moves,
// also when the node has to fetch it anew.
func TestPinned(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.OfferImage("moving:1", fake.Offer{Image: runtime.Image{ID: id('a'), Digest: digest('a')}})
		w.engine.OfferImage("moving:2", fake.Offer{Image: runtime.Image{ID: id('b'), Digest: digest('b')}})
		spec := of("moving:2", "", 1)
		spec.Image.Digest = digest('a')
		w.apply(spec)
		box := w.running(one)
		if s := w.state(one); box.ImageID != id('a') || s.Digest != digest('a') {
			t.Errorf("it is made from %s, and says %s", box.ImageID, s.Digest)
		}
		if list := w.m.References(); len(list) != 1 || !strings.HasSuffix(list[0], "/moving@"+digest('a')) {
			t.Errorf("the images that are needed here: %q", list)
		}
		spec.Generation, spec.Image.Digest = 2, ""
		w.apply(spec)
		if box := w.running(one); box.ImageID != id('b') {
			t.Errorf("after the pin was taken away it is made from %s", box.ImageID)
		}
		spec.Generation, spec.Image.Digest = 3, digest('c')
		w.apply(spec)
		if s := w.state(one); s.Failure == nil || s.Failure.Code != problem.NotFound {
			t.Errorf("a digest that the registry doesn't have: %+v", s.Failure)
		}
	})
}

func TestBadPullsAreRefused(t *testing.T) {
	t.Parallel()
	for field, edit := range map[string]func(*wire.ImageSpec){
		"image.digest": func(i *wire.ImageSpec) { i.Digest = "latest" },
		"image.pull":   func(i *wire.ImageSpec) { i.Pull = "sometimes" },
	} {
		spec := basic(one, 1)
		edit(&spec.Image)
		err := Validate(spec)
		if p := problem.From(err); p.Code != problem.Validation || len(p.Fields) != 1 || p.Fields[0].Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}
