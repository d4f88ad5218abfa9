package instance

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestWords(t *testing.T) {
	t.Parallel()
	code, at := 137, time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC)
	stopped, starting := wire.State{Actual: wire.ActualStopped}, wire.State{Actual: wire.ActualStarting}
	running := wire.State{Actual: wire.ActualRunning, StartedAt: &at}
	crashed := wire.State{Actual: wire.ActualCrashed, ExitCode: &code}
	with := func(s wire.State, change func(s *wire.State)) wire.State {
		change(&s)
		return s
	}
	for _, tt := range []struct {
		before, after wire.State
		want          string
	}{
		{stopped, stopped, ""},
		{stopped, starting, "Starting."},
		{starting, running, "Running."},
		{stopped, running, "Running."},
		{running, running, ""},
		{running, wire.State{Actual: wire.ActualStopping}, "Stopping."},
		{wire.State{Actual: wire.ActualStopping}, stopped, "Stopped."},
		{running, crashed, "Ended with exit code 137."},
		{starting, with(crashed, func(s *wire.State) { s.OOM = true }), "Killed: it needed more memory than it may use."},
		{running, with(crashed, func(s *wire.State) { s.RetryAt = &at }), "Ended with exit code 137.|It is started again at 12:30:00 UTC."},
		{running, with(crashed, func(s *wire.State) { s.GaveUp = true }), "Ended with exit code 137.|Gave up after too many crashes. It is left alone until it is started."},
		{crashed, with(crashed, func(s *wire.State) { s.Converged = true }), ""},
		{running, with(stopped, func(s *wire.State) { s.ExitCode = &code }), "Ended with exit code 137."},
		{starting, with(starting, func(s *wire.State) { s.Overdue = true }), "It takes longer than it should to get ready. It is left running."},
		{stopped, with(stopped, func(s *wire.State) { s.Failure = problem.New(problem.Conflict, "port 1 is in use") }), "Failed: port 1 is in use."},
	} {
		if got := strings.Join(words(tt.before, tt.after), "|"); got != tt.want {
			t.Errorf("%+v, then %+v: %q, want %q", tt.before, tt.after, got, tt.want)
		}
	}
}

func TestInstallationSaysEachStepOnce(t *testing.T) {
	t.Parallel()
	var to strings.Builder
	said := installation(&to)
	for _, message := range []string{"Downloading a:b (1 of 2): 0 KiB", "Downloading a:b (1 of 2): 7 of 8 KiB", "Downloading c (2 of 2): 0 KiB", "Unpacking"} {
		said(wire.Progress{Message: message})
	}
	if got := to.String(); got != "Downloading a:b (1 of 2)\nDownloading c (2 of 2)\nUnpacking\n" {
		t.Errorf("it said %q", got)
	}
}

// Those who look at an instance are told of each change, and what a state is, and
// nothing once they have gone or it has.
func TestSubscribe(t *testing.T) {
	t.Parallel()
	play(t, func(w *world) {
		if _, err := w.m.State(one); problem.From(err).Code != problem.NotFound {
			t.Errorf("before there is one: %v", err)
		}
		changed, cancel := w.m.Subscribe(one)
		var seen []wire.Actual
		look := func() {
			for len(changed) > 0 {
				<-changed
				if s, err := w.m.State(one); err == nil {
					seen = append(seen, s.Actual)
				}
			}
		}
		w.apply(basic(one, 1))
		w.running(one)
		look()
		w.apply(order(2, wire.Power{Want: wire.WantStopped, Order: 2}))
		w.expect(one, wire.PhaseReady, wire.ActualStopped, true)
		look()
		cancel()
		w.apply(order(3, wire.Power{Want: wire.WantRunning, Order: 3}))
		w.running(one)
		if len(changed) > 0 {
			t.Error("told of a change after the end")
		}
		if !slices.Equal(seen, []wire.Actual{wire.ActualRunning, wire.ActualStopped}) {
			t.Errorf("it saw %q", seen)
		}
	})
}
