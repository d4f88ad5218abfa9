package fake

import (
	"context"
	"sync"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
)

// Method names a method of runtime.Engine, to plan what befalls its calls.
type Method string

// The methods.
const (
	Info          Method = "Info"
	Image         Method = "Image"
	Pull          Method = "Pull"
	TryLogin      Method = "TryLogin"
	Load          Method = "Load"
	EnsureNetwork Method = "EnsureNetwork"
	Create        Method = "Create"
	Start         Method = "Start"
	Stop          Method = "Stop"
	Kill          Method = "Kill"
	Remove        Method = "Remove"
	Inspect       Method = "Inspect"
	List          Method = "List"
	ReadFile      Method = "ReadFile"
	Watch         Method = "Watch"
	Glance        Method = "Glance"
	Repair        Method = "Repair"
	Images        Method = "Images"
	RemoveImage   Method = "RemoveImage"
	Attach        Method = "Attach"
	Log           Method = "Log"
	Resize        Method = "Resize"
	Stats         Method = "Stats"
)

// faults are what was planned for an engine's calls.
type faults struct {
	mu      sync.Mutex
	calls   map[Method]int
	waiting map[Method]int
	next    map[Method][]error
	always  map[Method]error
	after   map[Method][]error
	delay   map[Method]time.Duration
	held    map[Method]chan struct{}
	away    chan struct{} // closed while the engine is away
	isAway  bool
}

func newFaults() *faults {
	return &faults{
		calls: map[Method]int{}, waiting: map[Method]int{}, next: map[Method][]error{}, always: map[Method]error{},
		after: map[Method][]error{}, delay: map[Method]time.Duration{}, held: map[Method]chan struct{}{}, away: make(chan struct{}),
	}
}

// FailNext lets the next call of the method fail with err and have no effect.
// Several are used up one by one, in order.
func (e *Engine) FailNext(method Method, err error) {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	e.faults.next[method] = append(e.faults.next[method], err)
}

// LoseAnswer lets the next call of the method take its effect and then fail with
// err, as when the engine dies before it answers. It works for Create, Start,
// Kill, Remove, Repair, RemoveImage, Load and EnsureNetwork.
func (e *Engine) LoseAnswer(method Method, err error) {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	e.faults.after[method] = append(e.faults.after[method], err)
}

// Fail lets every call of the method fail with err and have no effect, until
// Fail(method, nil).
func (e *Engine) Fail(method Method, err error) {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	e.faults.always[method] = err
}

// Delay lets every call of the method take so long before it does anything,
// until Delay(method, 0).
func (e *Engine) Delay(method Method, d time.Duration) {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	e.faults.delay[method] = d
}

// Hold lets calls of the method wait, before they do anything, until release is
// called (more than once does no harm) or their context ends. Calls that wait
// are counted by Waiting.
func (e *Engine) Hold(method Method) (release func()) {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	gate := make(chan struct{})
	e.faults.held[method] = gate
	return sync.OnceFunc(func() {
		e.faults.mu.Lock()
		defer e.faults.mu.Unlock()
		if e.faults.held[method] == gate {
			delete(e.faults.held, method)
		}
		close(gate)
	})
}

// SetUnreachable lets the engine be away, or come back. While it is away every
// call fails as Unreachable, also those under way, and every Watch ends; the
// containers live on, and their changes are told to nobody.
func (e *Engine) SetUnreachable(away bool) {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	if away == e.faults.isAway {
		return
	}
	e.faults.isAway = away
	if away {
		close(e.faults.away)
	} else {
		e.faults.away = make(chan struct{})
	}
}

// Calls is how many calls of the method there were, those that failed included.
func (e *Engine) Calls(method Method) int {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	return e.faults.calls[method]
}

// Waiting is how many calls of the method are held or delayed now.
func (e *Engine) Waiting(method Method) int {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	return e.faults.waiting[method]
}

// enter is the beginning of every call: it waits as planned and says why the
// call fails, if it does.
func (e *Engine) enter(ctx context.Context, method Method) error {
	f := e.faults
	f.mu.Lock()
	f.calls[method]++
	gate, delay, away := f.held[method], f.delay[method], f.away
	f.waiting[method]++
	f.mu.Unlock()
	err := wait(ctx, gate, delay, away)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting[method]--
	if err != nil {
		return err
	}
	if f.isAway {
		return unreachable()
	}
	if planned := f.next[method]; len(planned) > 0 {
		f.next[method] = planned[1:]
		return planned[0]
	}
	return f.always[method]
}

// leave is the end of a call that took effect.
func (e *Engine) leave(method Method) error {
	f := e.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	if planned := f.after[method]; len(planned) > 0 {
		f.after[method] = planned[1:]
		return planned[0]
	}
	return nil
}

func wait(ctx context.Context, gate <-chan struct{}, delay time.Duration, away <-chan struct{}) error {
	if gate != nil {
		select {
		case <-gate:
		case <-away:
			return unreachable()
		case <-ctx.Done():
		}
	}
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-away:
			return unreachable()
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// gone is closed while the engine is away.
func (e *Engine) gone() <-chan struct{} {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	return e.faults.away
}

func unreachable() error {
	return runtime.Fail(runtime.Unreachable, nil, "the container engine does not answer")
}
