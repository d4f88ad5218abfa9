package instance

import (
	"testing"

	"github.com/berth-panel/berth/shared/wire"
)

func TestMoves(t *testing.T) {
	t.Parallel()
	legal := map[[2]Phase]bool{
		{Installing, Ready}: true, {Installing, Failed}: true, {Installing, Deleting}: true,
		{Ready, Installing}: true, {Ready, Deleting}: true,
		{Failed, Installing}: true, {Failed, Ready}: true, {Failed, Deleting}: true,
	}
	phases := []Phase{Installing, Ready, Failed, Deleting}
	for _, from := range phases {
		for _, to := range phases {
			if got := from.mayBecome(to); got != (from == to || legal[[2]Phase{from, to}]) {
				t.Errorf("%s may become %s: %v", from, to, got)
			}
		}
	}
	if Phase("").mayBecome(Ready) || Ready.mayBecome("anything") {
		t.Error("what is no phase moves")
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		phase     Phase
		suspended bool
		actual    wire.Actual
		want      Status
	}{
		{Deleting, true, wire.ActualRunning, StatusDeleting},
		{Failed, true, wire.ActualStopped, StatusSuspended},
		{Installing, false, wire.ActualStarting, StatusInstalling},
		{Failed, false, wire.ActualStopped, StatusFailed},
		{Ready, false, wire.ActualCrashed, "crashed"},
		{Ready, false, wire.ActualRunning, "running"},
	} {
		if got := status(c.phase, c.suspended, c.actual); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
