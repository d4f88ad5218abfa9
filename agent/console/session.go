package console

import (
	"context"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
)

const (
	attachWithin = 10 * time.Second // an attach, and a look at a container
	endWithin    = 5 * time.Second  // what an older run printed last is waited for
	goneWithin   = 500 * time.Millisecond
	settleWithin = 2 * time.Second // likewise, of one that is held
	quietFor     = 25 * time.Millisecond
	firstRetry   = 200 * time.Millisecond
	maxRetry     = 10 * time.Second
)

// session fills the record from one container.
type session struct {
	c      *console
	box    runtime.ContainerID
	ctx    context.Context
	cancel context.CancelFunc
	over   chan struct{} // closed when it does nothing any more
	begun  bool          // by a Begin, of a container that
	since  time.Time     // ended then, or never yet
	live   *live         // behind the console's mu; nil while it is not attached
	again  bool          // behind mu too: the container was found to run since the last look
	ending bool          // likewise: it looks no more
	after  bool          // likewise: a stream has ended, and what came last is looked for
}

// takeTurn gives the console of a container's instance, whose session nobody else changes
// until leave is called; nil once the Room is closed.
func (k *Room) takeTurn(box runtime.Container) (c *console, leave func()) {
	if !k.begin() {
		return nil, nil
	}
	c = k.of(box.Instance)
	c.turn.Lock()
	return c, func() {
		c.turn.Unlock()
		k.work.Done()
	}
}

// Begin records a container that is started next.
func (k *Room) Begin(ctx context.Context, box runtime.Container) {
	c, leave := k.takeTurn(box)
	if c == nil {
		return
	}
	defer leave()
	if s := c.session; s != nil && s.box == box.ID && s.attached() && s.begun && s.since.Equal(box.FinishedAt) {
		return // a start has failed, and nothing ran since
	}
	if s := c.session; s != nil && s.box == box.ID && box.Held && s.attached() {
		return // the stream goes on through the next life
	}
	c.finish(ctx, box.ID)
	ctx, cancel := context.WithTimeout(ctx, attachWithin)
	defer cancel()
	s := c.newSession(box.ID)
	s.begun, s.since = true, box.FinishedAt
	if box.Status != runtime.Created && !c.complete(box.ID) {
		if err := s.catchUp(ctx, nil); err != nil {
			c.log.Warn("what the container printed before can't be read", "error", err)
		}
	}
	c.follows(box.ID)
	l, err := s.attach(ctx)
	if err != nil {
		c.log.Warn("the console can't be attached before the start", "error", err)
	}
	s.start(l) //nolint:contextcheck // it outlives the call: what follows belongs to the Room
}

// Settle waits until what the program of a container that is held printed last is
// recorded, and ends its last line. How much of that is still on its way nobody says:
// it is all there when nothing has come for a moment.
func (k *Room) Settle(box runtime.Container) {
	c, leave := k.takeTurn(box)
	if c == nil {
		return
	}
	defer leave()
	c.mu.Lock()
	var l *live
	if s := c.session; s != nil && s.box == box.ID {
		l = s.live
	}
	c.mu.Unlock()
	if l != nil {
		ctx, cancel := context.WithTimeout(k.life, settleWithin)
		defer cancel()
		l.settle(ctx)
	}
}

// Resume records a container that was found.
func (k *Room) Resume(box runtime.Container) {
	if !k.begin() {
		return
	}
	go func() {
		defer k.work.Done()
		select {
		case k.resuming <- struct{}{}:
			defer func() { <-k.resuming }()
			k.resume(box)
		case <-k.life.Done():
		}
	}()
}

func (k *Room) resume(box runtime.Container) {
	c := k.of(box.Instance)
	c.turn.Lock()
	defer c.turn.Unlock()
	s := c.session
	switch {
	case s != nil && s.box == box.ID && !s.isOver() && s.goesOn(up(box)):
	case box.Status == runtime.Created: // it has printed nothing
	case !up(box) && c.complete(box.ID):
	default:
		c.finish(k.life, box.ID)
		c.newSession(box.ID).start(nil)
	}
}

func up(c runtime.Container) bool {
	return c.Status == runtime.Running || c.Status == runtime.Paused || c.Status == runtime.Restarting
}

// complete says whether the record holds all that a container printed.
func (c *console) complete(box runtime.ContainerID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := about{}
	if c.record != nil {
		known = c.record.about
	} else {
		known = peek(c.dir) // most are asked about at the agent's start, and then left alone
	}
	return known.Container == string(box) && known.Ended
}

// follows notes whose lines come next.
func (c *console) follows(box runtime.ContainerID) {
	c.note(func(a *about, next int64) {
		if a.Container != string(box) {
			a.Container, a.From = string(box), next
		}
		a.Ended = false
	})
}

// note changes what is known of the record.
func (c *console) note(change func(a *about, next int64)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open() != nil {
		return
	}
	before := c.record.about
	change(&c.record.about, c.record.next)
	if c.record.about == before || c.record.broken {
		return
	}
	if err := c.record.note(); err != nil {
		c.complain(err)
	}
}

func (c *console) newSession(box runtime.ContainerID) *session {
	ctx, cancel := context.WithCancel(c.room.life)
	s := &session{c: c, box: box, ctx: ctx, cancel: cancel, over: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	return s
}

// finish ends the session there is, once it has what its container printed last.
// Another container than the next one is gone, and need not be waited for as
// long. The caller holds turn.
func (c *console) finish(ctx context.Context, next runtime.ContainerID) {
	s := c.session
	if s == nil {
		return
	}
	if s.busy() {
		patience := endWithin
		if s.box != next {
			patience = goneWithin
		}
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-s.over:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	c.endSession()
}

// endSession ends it at once.
func (c *console) endSession() {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s != nil {
		s.cancel()
		<-s.over
	}
}

// goesOn has a session that doesn't end yet look once more, should it take the
// container for ended: that may run again since it looked.
func (s *session) goesOn(runs bool) bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.again = s.again || runs
	return !s.ending
}

// ends says whether nobody has asked for another look.
func (s *session) ends() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.ending = !s.again || s.ctx.Err() != nil
	return s.ending
}

func (s *session) isOver() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

func (s *session) attached() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.live != nil
}

// busy says that it listens, or reads what a stream that has just ended left: that
// is over soon, and then the record is known to be whole. Who broke it off would
// have to read the engine's log from far back.
func (s *session) busy() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.live != nil || s.after
}

// noteEnd says whether a stream's end is being looked at.
func (s *session) noteEnd(after bool) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.after = after
}

// start lets the session go on by itself, with what it is attached to, if it is.
func (s *session) start(l *live) {
	if !s.c.room.begin() {
		if l != nil {
			l.close()
		}
		s.cancel()
		close(s.over)
		return
	}
	go func() {
		defer s.c.room.work.Done()
		defer close(s.over)
		defer s.cancel()
		s.run(l)
		s.c.relax()
	}()
}

// relax frees what only a container that prints needs.
func (c *console) relax() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.record != nil {
		c.record.letGo()
	}
}

// run records until the container has ended, the engine is away or the session is
// to end.
func (s *session) run(l *live) {
	wait := firstRetry
	heard := l != nil
	for {
		if l != nil {
			began := s.c.room.Now()
			l.listen()
			s.noteEnd(true) // first: it is listening, or here
			l.close()
			if s.c.room.Now().Sub(began) > maxRetry {
				wait = firstRetry
			}
		} else if pause(s.ctx, 0) != nil {
			return
		}
		next, goOn, err := s.look(heard)
		s.noteEnd(false)
		if err != nil && s.ctx.Err() == nil {
			s.c.log.Info("the console is not attached", "error", err)
		}
		if !goOn && s.ends() {
			return
		}
		l, heard = next, next != nil
		if l == nil {
			if pause(s.ctx, wait) != nil {
				return
			}
			wait = min(2*wait, maxRetry)
		}
	}
}

// look asks the engine what the container does. One that runs is attached to, and
// one that has ended is read to its end; heard says that a stream has just ended.
// goOn without a live means that it is to be tried again.
func (s *session) look(heard bool) (l *live, goOn bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, attachWithin)
	defer cancel()
	s.c.mu.Lock()
	s.again = false
	s.c.mu.Unlock()
	box, err := s.c.room.Engine.Inspect(ctx, s.box)
	reason := runtime.ReasonOf(err)
	switch {
	case reason == runtime.Missing:
		return nil, false, nil
	case reason == runtime.Unreachable || s.ctx.Err() != nil:
		return nil, false, err // the next Resume goes on
	case err != nil:
		return nil, true, err
	case box.Status == runtime.Created:
		return nil, true, nil // attached to in vain: it is being started
	case !up(box):
		if err := s.readEnd(heard); err != nil {
			return nil, runtime.ReasonOf(err) == runtime.Unknown && s.ctx.Err() == nil, err
		}
		s.c.note(func(a *about, _ int64) { a.Ended = true })
		return nil, false, nil
	}
	if l, err = s.attach(ctx); err != nil {
		return nil, true, err
	}
	err = s.catchUp(s.ctx, l)
	if err == nil {
		box, err = s.c.room.Engine.Inspect(ctx, s.box)
	}
	if err != nil || !up(box) { // one that has ended meanwhile would be listened to for ever
		l.close()
		return nil, true, err
	}
	return l, true, nil
}

// readEnd brings the record to the end of a container that is down. After a
// stream that was heard to its end there is nothing left, as a rule: the log's
// last part shows it.
func (s *session) readEnd(heard bool) error {
	if heard {
		var last entry
		var split splitter
		err := s.c.room.Engine.Log(s.ctx, s.box, runtime.LogRange{Last: 1}, func(p runtime.LogPart) error {
			for _, e := range split.end(split.feed(nil, p.Text, p.At), p.At) {
				last = e
			}
			return nil
		})
		if err != nil {
			return err
		}
		if s.c.knows(last) {
			return nil
		}
	}
	return s.catchUp(s.ctx, nil)
}

// lastLines is how many lines are read to find those of the log among them.
const lastLines = 4 * evidence

// knows says whether a line of the log is one of the record's last.
func (c *console) knows(e entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open() != nil {
		return true
	}
	for _, p := range c.past(max(c.record.about.From, c.record.next-lastLines)) {
		if printed(p.source) && p.text == e.text && p.at.Sub(e.at).Abs() < logSlack {
			return true
		}
	}
	return e.at.IsZero() && e.text == ""
}

// pause waits; it returns early with the context's error.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
