package stats

import (
	"context"
	"errors"
	"time"

	"github.com/berth-panel/berth/agent/instance"
	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// sample takes one round: of what runs and is due, then of the node if that is.
func (s *Service) sample(ctx context.Context) {
	running, due := s.follow(s.Instances.Running(nil))
	for _, t := range due {
		s.look(ctx, t)
	}
	s.sampleNode(running)
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.round)
	s.round = make(chan struct{})
}

// sampleNode measures the node, if it is due.
func (s *Service) sampleNode(running int) {
	now := s.Now()
	s.mu.Lock()
	due := isDue(now, s.watched)
	s.mu.Unlock()
	if !due {
		return
	}
	node, over := s.machine.sample(running)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node = node
	if over > 0 {
		s.history.add(point{
			at: uint32(node.At.Unix()), cpu: float32(node.CPU), in: float32(node.NetInRate), out: float32(node.NetOutRate),
			read: float32(node.Load1), memory: kib(node.MemoryUsed), disk: kib(node.DiskUsed), pids: uint32(node.Running),
		}, over)
	}
}

// isDue says whether a round measures what somebody looked at last then: each
// second for a while after that, and otherwise at the end of each point of the
// second level, so that each of those is of all its time.
func isDue(now, watched time.Time) bool {
	return now.Sub(watched) < watchedFor || uint32(now.Unix())%tens.step == tens.step-1
}

// due is isDue of a track. A container's first minute is measured as if somebody
// looked, and so is what has no rates yet. It needs the mutex.
func (t *track) due(now time.Time) bool {
	return !t.rated || now.Sub(t.up.Started) < watchedFor || isDue(now, t.watched)
}

// follow takes over what runs now, and ends what doesn't any more; due are those
// to be measured.
func (s *Service) follow(ups []instance.Up) (running int, due []*track) {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	present := make(map[ident.Instance]struct{}, len(ups))
	for _, up := range ups {
		present[up.Instance] = struct{}{}
		t := s.tracks[up.Instance]
		if t == nil {
			t = &track{disk: holding{used: -1}}
			s.tracks[up.Instance] = t
		}
		if !t.running || t.up.Container != up.Container || !t.up.Started.Equal(up.Started) {
			t.begin(up)
		}
		t.ended = now
		if t.due(now) {
			due = append(due, t)
		}
	}
	for id, t := range s.tracks {
		if _, ok := present[id]; !ok && t.running {
			t.running, t.newest = false, wire.Sample{}
			t.series.end()
		}
	}
	return len(ups), due
}

// begin is for another life of the container. Its counters begin anew, unless it has
// the first process of before.
func (t *track) begin(up instance.Up) {
	t.before, t.counted = 0, false
	if t.up.Container == up.Container {
		t.before = t.pid
	}
	t.up, t.running, t.pid, t.askAt, t.wait = up, true, 0, time.Time{}, 0
	t.last, t.newest, t.rated, t.source, t.box = runtime.Usage{}, wire.Sample{}, false, unknown, box{}
}

// look takes a sample of one that runs, or does what is needed before it can.
func (s *Service) look(ctx context.Context, t *track) {
	if t.source == unknown {
		s.mu.Lock()
		pid := t.pid
		s.mu.Unlock()
		if pid == 0 {
			s.ask(ctx, t, s.findProcess)
			return
		}
		t.source = s.choose(t, pid)
	}
	if t.source == fromEngine {
		s.ask(ctx, t, s.askEngine)
		return
	}
	u, err := s.kernel.usage(t.box)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil { // it has ended, or what we know of it is no longer so
		t.source, t.pid = unknown, 0
		t.later(s.Now())
		return
	}
	t.wait = 0
	s.take(t, u)
}

// choose finds out whether the kernel shows the container's counters here.
func (s *Service) choose(t *track, pid int) source {
	found, err := s.kernel.find(pid, t.up.Container)
	if err == nil {
		_, err = s.kernel.usage(found)
	}
	if err != nil && !errors.Is(err, errEnded) {
		return fromEngine
	}
	t.box = found
	return fromKernel
}

// later puts the next question off.
func (t *track) later(now time.Time) {
	t.wait = min(max(time.Second, 2*t.wait), retryMost)
	t.askAt = now.Add(t.wait)
}

// ask puts a question to the engine beside the rounds, which wait for nobody.
// There is one about a container at a time, and few in all: what finds no place
// comes in a later round.
func (s *Service) ask(ctx context.Context, t *track, question func(ctx context.Context, t *track, up instance.Up)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.asking || s.Now().Before(t.askAt) {
		return
	}
	select {
	case s.asks <- struct{}{}:
	default:
		return
	}
	t.asking = true
	up := t.up
	s.asked.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		question(ctx, t, up)
		<-s.asks
		s.mu.Lock()
		t.asking = false
		s.mu.Unlock()
	})
}

func (s *Service) findProcess(ctx context.Context, t *track, up instance.Up) {
	c, err := s.Engine.Inspect(ctx, up.Container)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case t.up != up:
	case err != nil || c.Status != runtime.Running && c.Status != runtime.Paused:
		t.later(s.Now())
	default:
		t.pid, t.counted = c.Pid, c.Pid > 0 && c.Pid == t.before
		if c.Pid == 0 {
			t.pid = -1 // it runs, and the engine doesn't say where
		}
	}
}

func (s *Service) askEngine(ctx context.Context, t *track, up instance.Up) {
	u, err := s.Engine.Stats(ctx, up.Container)
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.up != up || !t.running {
		return
	}
	if err != nil {
		t.later(s.Now())
		return
	}
	now := s.Now()
	t.wait, t.askAt = 0, now.Add(engineEvery)
	if now.Sub(t.watched) < watchedFor {
		t.askAt = now
	}
	s.take(t, u)
}

// take makes a sample of what was measured, under the mutex.
func (s *Service) take(t *track, u runtime.Usage) {
	before := t.last
	if age := u.At.Sub(t.up.Started); before.At.IsZero() && !t.counted && age >= 0 && age < freshFor {
		before.At = t.up.Started // with all counters at 0
	}
	if !t.last.At.IsZero() && u.At.Sub(t.last.At) < leastSpan {
		return // the same as before
	}
	t.last = u
	t.newest = wire.Sample{
		At: u.At, Running: true, MemoryBytes: u.MemoryBytes, MemoryLimit: u.MemoryLimit,
		NetIn: u.NetIn, NetOut: u.NetOut, DiskRead: u.DiskRead, DiskWrite: u.DiskWrite, Pids: u.Pids,
		DiskUsed: t.disk.used, DiskLimit: t.disk.limit, UptimeMS: max(0, u.At.Sub(t.up.Started).Milliseconds()),
	}
	over := u.At.Sub(before.At).Seconds()
	if before.At.IsZero() || over < leastSpan.Seconds() {
		return // nothing to have rates since
	}
	n := &t.newest
	n.CPU = rate(int64(before.CPU), int64(u.CPU), over) / float64(time.Second)
	n.NetInRate, n.NetOutRate = rate(before.NetIn, u.NetIn, over), rate(before.NetOut, u.NetOut, over)
	n.ReadRate, n.WriteRate = rate(before.DiskRead, u.DiskRead, over), rate(before.DiskWrite, u.DiskWrite, over)
	t.rated = true
	t.series.add(point{
		at: uint32(s.Now().Unix()), cpu: float32(n.CPU), in: float32(n.NetInRate), out: float32(n.NetOutRate),
		read: float32(n.ReadRate), write: float32(n.WriteRate),
		memory: kib(n.MemoryBytes), disk: kib(n.DiskUsed), pids: uint32(min(max(n.Pids, 0), 1<<31)),
	}, over)
}
