package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"
	"time"

	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// trouble makes the faults, each when it is due and for as long as it lasts.
type trouble struct {
	lab  *lab
	done sync.WaitGroup
}

// run begins each fault when it is due; those under way are lifted when ctx ends.
func (t *trouble) run(ctx context.Context, faults []fault, began time.Time) {
	for _, f := range faults {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(began.Add(f.At))):
		}
		t.done.Go(func() {
			t.lab.story.tell("! %s", f)
			lift, err := t.begin(f)
			if err != nil {
				t.lab.story.tell("! %s: %v", f, err)
			}
			if lift == nil {
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(f.For):
			}
			if err := lift(); err != nil {
				t.lab.story.tell("! lifting %s: %v", f, err)
			}
			t.lab.story.tell("! over: %s", f)
		})
	}
}

// begin does the harm; lift takes it back, nil when there is nothing to take back.
func (t *trouble) begin(f fault) (lift func() error, err error) {
	l, n := t.lab, t.lab.nodes[f.Node]
	switch f.Harm {
	case killController:
		l.controller.kill()
		return l.controller.start, nil
	case killInCall:
		l.trap.Store(int64(f.Delay/100) + 1)
	case killAgent:
		n.agent.kill()
		return n.agent.start, nil
	case killEngine:
		n.dockerd.kill()
		return n.dockerd.start, nil
	case stopController:
		l.controller.end(syscall.SIGTERM, time.Minute)
		return l.controller.start, nil
	case stopAgent:
		n.agent.end(syscall.SIGTERM, time.Minute)
		return n.agent.start, nil
	case stopEngine:
		n.dockerd.end(syscall.SIGTERM, time.Minute)
		return n.dockerd.start, nil
	case freezeController:
		return frozen(l.controller)
	case freezeAgent:
		return frozen(n.agent)
	case freezeEngine:
		return frozen(n.dockerd)
	case linkDown:
		return func() error { return n.link(true) }, n.link(false)
	case fillNode:
		return n.disk.free, n.disk.fill()
	case fillController:
		return l.disk.free, l.disk.fill()
	case handStop, handKill, handRemove, handStart, handPause, crash:
		return nil, n.byHand(f)
	default:
		return t.beginNet(f)
	}
	return nil, nil
}

// spring is called with each call of the API that may change something: where a
// trap is set, the controller is killed in the middle of it, and run again.
func (l *lab) spring() {
	wait := time.Duration(l.trap.Swap(0))
	if wait == 0 {
		return
	}
	l.springing.Go(func() {
		time.Sleep(wait)
		l.story.tell("! the controller is killed in the middle of a call, after %s", wait)
		l.controller.kill()
		if err := l.controller.start(); err != nil {
			l.story.tell("! %v", err)
		}
	})
}

func frozen(p *process) (func() error, error) {
	p.freeze()
	return func() error { p.thaw(); return nil }, nil
}

func (t *trouble) beginNet(f fault) (lift func() error, err error) {
	node, front := t.lab.nodes[f.Node].proxy, t.lab.front
	under := func(p *proxy, w weather) (func() error, error) {
		p.set(w)
		return func() error { p.set(weather{}); return nil }, nil
	}
	switch f.Harm {
	case delayNode:
		if n := t.lab.nodes[f.Node]; n.loss(f.Delay) {
			return func() error { n.lossless(); return nil }, nil
		}
		return under(node, weather{delay: f.Delay})
	case stallNode:
		return under(node, weather{stall: true})
	case refuseNode:
		lift, err = under(node, weather{refuse: true})
		node.reset()
		return lift, err
	case resetNode:
		node.reset()
	case halveNear:
		node.halve(true)
	case halveFar:
		node.halve(false)
	case delayFront:
		return under(front, weather{delay: f.Delay / 4})
	case stallFront:
		return under(front, weather{stall: true})
	case resetFront:
		front.reset()
	default:
		return nil, fmt.Errorf("nobody knows how to do %q", f.Harm)
	}
	return nil, nil
}

// byHand does to one of the node's containers what somebody with a shell would.
func (n *node) byHand(f fault) error {
	ids, err := n.engine.ours()
	if err != nil || len(ids) == 0 {
		return err
	}
	id := ids[int(f.Pick)%len(ids)]
	n.lab.story.tell("! %s: container %.12s", f.Harm, id)
	path := "/containers/" + id
	switch f.Harm {
	case handStop:
		return n.engine.call("POST", path+"/stop?t=2", nil, nil)
	case handKill:
		return n.engine.call("POST", path+"/kill", nil, nil)
	case handRemove:
		return n.engine.call("DELETE", path+"?force=1", nil, nil)
	case handStart:
		return n.engine.call("POST", path+"/start", nil, nil)
	case crash:
		return n.crash(id)
	default:
		return n.engine.call("POST", path+"/pause", nil, nil)
	}
}

// crash kills the program of a container, and not the container: what its first
// process has begun.
func (n *node) crash(id string) error {
	c, there, err := n.engine.inspect(id)
	if err != nil || !there || c.State.Pid == 0 {
		return err
	}
	children, err := runtimetest.ChildrenOf(c.State.Pid)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has ended meanwhile
	} else if err != nil {
		return err
	}
	for _, pid := range children {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// heal lifts whatever is left of faults and runs every program.
func (l *lab) heal() error {
	l.trap.Store(0)
	l.springing.Wait()
	l.healProcesses()
	l.front.set(weather{})
	errs := []error{l.disk.free(), l.controller.start()}
	for _, n := range l.nodes {
		n.proxy.set(weather{})
		n.lossless()
		errs = append(errs, n.link(true), n.disk.free(), n.dockerd.start(), n.agent.start())
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
