package fleet_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/controller/fleet/fleettest"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// An agent whose version is refused can still be asked and updated.
func TestReleaseOfAnAgentThatIsTooOld(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, w way) {
		b := setup(t, w, nil)
		agent := b.agent(t)
		agent.Say(func(h *wire.Hello) { h.Wire = 1 })
		node := agent.Target().Node
		b.directory.set(agent.Target())
		b.fleet.Refresh()
		b.offline(t, node, "is too old")
		state, err := b.fleet.Release(t.Context(), node)
		if err != nil || state.Release != "scripted" {
			t.Fatalf("%+v, %v", state, err)
		}
		program := make([]byte, 3<<20)
		_, _ = rand.Read(program)
		state, err = b.fleet.PushRelease(t.Context(), node, "2.0.0", "the sum", int64(len(program)), bytes.NewReader(program))
		if err != nil || !state.Trial {
			t.Fatalf("%+v, %v", state, err)
		}
		pushed := agent.Pushed()
		if len(pushed) != 1 || pushed[0].Release != "2.0.0" || pushed[0].SHA256 != "the sum" || !bytes.Equal(pushed[0].Program, program) {
			t.Fatalf("%d programs arrived, or another one", len(pushed))
		}
		if b.fleet.Online(node) {
			t.Fatal("it counts as online")
		}
		if _, err := b.fleet.PushRelease(t.Context(), node, "2.0.0", "the sum", 10, io.MultiReader(strings.NewReader("12345"), broken{})); err == nil {
			t.Fatal("half a program was taken")
		}
		if _, err := b.fleet.Release(t.Context(), "nobody"); !problem.Is(err, problem.NodeOffline) {
			t.Fatalf("nobody answers: %v", err)
		}
	})
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("the disk is broken") }

// A hello of whatever other version is read as far as it must be.
func TestHelloOfAnotherVersion(t *testing.T) {
	t.Parallel()
	for text, reason := range map[string]string{
		`{"wire": 1, "release": "0.1", "engine": "docker", "epoch": 7}`:             `(release "0.1") is too old`,
		`{"wire": 9, "release": "9.0", "node": {"id": "x"}, "features": ["a", {}]}`: `(release "9.0") is newer`,
		`{}`:           "(unknown release) is too old",
		`{"wire": "x"`: "not understood",
		`[1]`:          "not understood",
	} {
		b := setup(t, dialled, nil)
		agent := b.agent(t)
		agent.SayRaw(text)
		b.directory.set(agent.Target())
		b.fleet.Refresh()
		b.offline(t, agent.Target().Node, reason)
		b.stop()
	}
}

// drip gives a byte whenever so much time has gone by.
type drip struct {
	every time.Duration
	left  int
}

func (d *drip) Read(p []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(d.every)
	d.left--
	p[0] = 'x'
	return 1, nil
}

// A program may take as long as it flows; one that flows no more is given up.
func TestPushOfAProgramTakesItsTime(t *testing.T) {
	t.Parallel()
	inDialledBubble(t, func(t *testing.T, b *bundle, network *fleettest.Network) {
		agent := b.enlist(t, network)
		node := agent.Target().Node
		begin := time.Now()
		if _, err := b.fleet.PushRelease(t.Context(), node, "2", "s", 20, &drip{10 * time.Second, 20}); err != nil {
			t.Errorf("a slow one: %v", err)
		}
		if took := time.Since(begin); took < 3*time.Minute {
			t.Errorf("it took %v", took)
		}
		until := make(chan struct{})
		defer close(until)
		agent.HoldPush(until)
		begin = time.Now()
		_, err := b.fleet.PushRelease(t.Context(), node, "2", "s", 1, strings.NewReader("x"))
		wantProblem(t, err, problem.NodeOffline, "took nothing in for 30 s")
		if took := time.Since(begin); took < 29*time.Second || took > 31*time.Second {
			t.Errorf("given up after %v", took)
		}
		synctest.Wait()
		if !b.fleet.Online(node) {
			t.Error("a push that failed took the node offline")
		}
	})
}
