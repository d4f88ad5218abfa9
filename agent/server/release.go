package server

import (
	"io"
	"net/http"
	"time"

	"github.com/berth-panel/berth/shared/problem"
)

// releaseTime is how long a program may take to arrive: 15 MB at a megabit a
// second take two minutes.
const releaseTime = 10 * time.Minute

// maxUnread bounds what is read of a program that is refused.
const maxUnread = 64 << 20

func (d *Door) release(w http.ResponseWriter, _ *http.Request) {
	if d.Releases == nil {
		refuse(w, errNoReleases())
		return
	}
	answer(w, http.StatusOK, d.Releases.State())
}

// receiveRelease takes a program in and, once that is answered, has the agent
// replaced by it.
func (d *Door) receiveRelease(w http.ResponseWriter, r *http.Request) {
	if d.Releases == nil {
		refuse(w, errNoReleases())
		return
	}
	control := http.NewResponseController(w)
	until := d.Now().Add(releaseTime)
	_, _ = control.SetReadDeadline(until), control.SetWriteDeadline(until) // where it can't be set there is none
	query := r.URL.Query()
	state, err := d.Releases.Receive(r.Context(), query.Get("release"), query.Get("sha256"), r.ContentLength, r.Body)
	if err != nil {
		d.Log.Warn("a release was not taken in", "release", query.Get("release"), "error", err)
		// Read to its end: who is still sending may not hear an answer.
		_, _ = io.CopyN(io.Discard, r.Body, maxUnread)
		refuse(w, err)
		return
	}
	answer(w, http.StatusAccepted, state)
	_ = control.Flush()
	d.Releases.Restart()
}

func errNoReleases() error {
	return problem.New(problem.Conflict, "this agent can't update itself")
}
