package instance

import (
	"testing"

	"github.com/berth-panel/berth/agent/runtime/fake"
	"github.com/berth-panel/berth/shared/wire"
)

func TestHoldEndsADeploymentUnderWayUntilTheNextSpec(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		w.engine.OfferImage("big:1", fake.Offer{})
		release := w.engine.Hold(fake.Pull)
		spec := basic(one, 1)
		spec.Image.Reference = "big:1"
		w.apply(spec)
		if n := w.engine.Waiting(fake.Pull); n != 1 {
			t.Fatalf("%d pulls under way", n)
		}
		held := spec
		held.Generation, held.Hold = 2, true
		held.Power = wire.Power{Want: wire.WantStopped, Order: spec.Power.Order + 1}
		w.apply(held)
		if n := w.engine.Waiting(fake.Pull); n != 0 {
			t.Errorf("%d pulls go on", n)
		}
		w.expect(one, wire.PhaseFailed, wire.ActualStopped, true)
		release()

		again := spec
		again.Generation, again.Power.Order = 3, spec.Power.Order+2
		w.apply(again)
		w.running(one)
		w.expect(one, wire.PhaseReady, wire.ActualRunning, true)
	})
}

func TestHoldSurvivesAReboot(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		spec := basic(one, 1)
		spec.Hold = true
		spec.Power = wire.Power{Want: wire.WantStopped, Order: 1}
		w.apply(spec)
		w.reboot()
		w.expect(one, wire.PhaseFailed, wire.ActualStopped, true)
		if n := w.engine.Calls(fake.Create); n != 0 {
			t.Errorf("%d containers were made", n)
		}
	})
}
