package instance

import "github.com/berth-panel/berth/shared/wire"

// RestartNeed is what a change of settings takes to take effect.
type RestartNeed string

// The needs, the least first.
const (
	RestartNone   RestartNeed = "none"       // nothing that its node does is another
	RestartLive   RestartNeed = "live"       // it takes effect while the instance runs
	RestartLater  RestartNeed = "next_start" // it waits for the next start
	RestartNeeded RestartNeed = "needed"     // its container is made anew: one that runs restarts
)

var restartTexts = map[RestartNeed]string{
	RestartNone:   "nothing of its container changes",
	RestartLive:   "it takes effect while it runs",
	RestartLater:  "it takes effect at its next start",
	RestartNeeded: "its container is made anew, so it restarts",
}

// made is what a container can't be without: agent/instance makes a new one when
// any of it changes.
type made struct {
	Image  wire.ImageSpec
	Env    []string
	Ports  []wire.Port
	Volume string
	TTY    bool
}

func madeFrom(s wire.Spec) made {
	s.Image.Pull = "" // is asked when a container is made, and makes none
	return made{s.Image, s.Env, s.Ports, s.Volume, s.TTY}
}

// begun is what is done before a start. What an installation does is done when
// somebody asks for one, and no start waits for it.
type begun struct {
	Patches []wire.Patch
	Pull    wire.PullPolicy
}

func begunWith(s wire.Spec) begun { return begun{s.Patches, s.Image.Pull} }

// needs says what it takes to get from one spec to another. Pull at every making
// of a container and a digest that is set to what runs already may restart less
// than is said here, never more.
func needs(before, after wire.Spec, running bool) RestartNeed {
	switch {
	case differ(madeFrom(before), madeFrom(after)):
		if running {
			return RestartNeeded
		}
		return RestartLater
	case differ(begunWith(before), begunWith(after)):
		return RestartLater
	case differ(before, after):
		return RestartLive
	default:
		return RestartNone
	}
}

// runs says whether there is a run that a restart would end.
func (i Instance) runs() bool {
	switch i.Actual {
	case wire.ActualRunning, wire.ActualStarting, wire.ActualUnknown:
		return i.Power == wire.WantRunning && !i.Suspended
	default:
		return false
	}
}
