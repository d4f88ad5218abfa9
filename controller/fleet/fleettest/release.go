package fleettest

import (
	"io"
	"net/http"
	"slices"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Pushed is one program that the agent was given.
type Pushed struct {
	Release string
	SHA256  string
	Program []byte
}

// Pushed are the programs that arrived whole.
func (a *Agent) Pushed() []Pushed { return look(a, func() []Pushed { return slices.Clone(a.pushed) }) }

// HoldPush has the agent answer the next programs only once until is closed.
func (a *Agent) HoldPush(until <-chan struct{}) { a.change(func() { a.holdPush = until }) }

// SayRaw has the agent answer hello with that text, whatever it is.
func (a *Agent) SayRaw(text string) { a.change(func() { a.rawHello = text }) }

// Greeted is how often the agent was asked for its hello.
func (a *Agent) Greeted() int { return look(a, func() int { return a.greeted }) }

func (a *Agent) release(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, wire.ReleaseState{Release: look(a, func() string { return a.hello.Release }), Arch: "amd64"})
}

func (a *Agent) takeRelease(w http.ResponseWriter, r *http.Request) {
	program, err := io.ReadAll(r.Body)
	if err != nil || int64(len(program)) != r.ContentLength {
		refuse(w, problem.New(problem.BadRequest, "the program broke off"))
		return
	}
	if until := look(a, func() <-chan struct{} { return a.holdPush }); until != nil {
		select {
		case <-until:
		case <-r.Context().Done():
			return
		}
	}
	query := r.URL.Query()
	a.change(func() {
		a.pushed = append(a.pushed, Pushed{Release: query.Get("release"), SHA256: query.Get("sha256"), Program: program})
	})
	answer(w, http.StatusAccepted, wire.ReleaseState{Release: query.Get("release"), Arch: "amd64", Trial: true})
}
