package console

import (
	"context"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	tailEvery = 100 * time.Millisecond // how soon what has no end is shown
	readSize  = 4 << 10
	// batch is how many lines of a log are recorded at once.
	batch = 512
	// catchAtMost bounds what is taken from the log of a container that the record
	// knows nothing of, and what is looked through for the lines that it does.
	catchAtMost = 50_000
	// heardMargin is how long before an attach a line of the log may be one that was
	// heard, too; heardWithin how long those that should be are waited for.
	heardMargin = time.Second
	heardWithin = 3 * time.Second
	// readAgain is how soon a log is read again that lags behind what was heard.
	readAgain = 100 * time.Millisecond
)

// live is a stream that is listened to.
type live struct {
	s      *session
	stream runtime.Attachment
	asked  time.Time // before it was attached
	pipe   *pipe
	quit   chan struct{} // closed by close
	read   chan struct{} // closed when the reader has ended
	out    splitter
	err    splitter
	breaks chan chan struct{} // asks listen to end the line under way
	fresh  bool               // something without an end came that was not shown
	used   []byte
}

// attach opens the stream and reads it into memory from now on.
func (s *session) attach(ctx context.Context) (*live, error) {
	asked := s.c.room.Now()
	stream, err := s.c.room.Engine.Attach(ctx, s.box)
	if err != nil {
		return nil, err
	}
	l := &live{
		s: s, stream: stream, asked: asked, pipe: newPipe(), breaks: make(chan chan struct{}), quit: make(chan struct{}), read: make(chan struct{}),
		out: splitter{source: wire.ConsoleOut}, err: splitter{source: wire.ConsoleErr},
	}
	s.c.mu.Lock()
	s.live = l
	s.c.mu.Unlock()
	go l.fill()
	return l, nil
}

// fill reads what the container prints, as soon as it does.
func (l *live) fill() {
	defer close(l.read)
	buf := make([]byte, readSize)
	for {
		n, stderr, err := l.stream.Read(buf)
		if n > 0 && !l.pipe.put(buf[:n], stderr, l.s.c.room.Now(), l.quit) {
			return
		}
		if err != nil {
			l.pipe.end(err)
			return
		}
	}
}

// close detaches; it may be called once.
func (l *live) close() {
	l.s.c.mu.Lock()
	if l.s.live == l {
		l.s.live = nil
	}
	l.s.c.mu.Unlock()
	close(l.quit)
	_ = l.stream.Close()
	<-l.read
}

// split makes lines of what is in the pipe.
func (l *live) split() (entries []entry, ended error) {
	text, pieces, ended := l.pipe.take(l.used)
	l.used = text
	p := text
	for _, piece := range pieces {
		into := &l.out
		if piece.stderr {
			into = &l.err
		}
		entries = into.feed(entries, p[:piece.size], piece.at)
		p = p[piece.size:]
	}
	l.fresh = l.fresh || len(pieces) > 0
	return entries, ended
}

// tail is what has no end yet.
func (l *live) tail() string {
	if text := l.out.tail(); text != "" {
		return text
	}
	return l.err.tail()
}

// listen records until the stream ends or the session is to end.
func (l *live) listen() {
	c := l.s.c
	timer := time.NewTimer(tailEvery)
	defer timer.Stop()
	timing := true // the timer will fire
	for {
		entries, ended := l.split()
		c.add(entries)
		if ended != nil {
			l.finish()
			return
		}
		if l.fresh && !timing {
			timer.Reset(tailEvery)
			timing = true
		}
		select {
		case <-l.pipe.news:
		case done := <-l.breaks:
			entries, _ := l.split()
			c.add(entries)
			l.finish()
			close(done)
		case <-timer.C:
			timing, l.fresh = false, false
			c.setTail(l.tail())
		case <-l.s.ctx.Done():
			return
		}
	}
}

// settle waits until nothing has come for a moment, and ends the line under way.
func (l *live) settle(ctx context.Context) {
	for {
		since, empty := l.pipe.quiet()
		wait := quietFor - l.s.c.room.Now().Sub(since)
		if empty && wait <= 0 {
			break
		}
		if pause(ctx, max(wait, time.Millisecond)) != nil {
			break // it goes on printing, or is not read: then it is a line all the same
		}
	}
	done := make(chan struct{})
	select {
	case l.breaks <- done: // between what it has taken and what comes next
		<-done
	case <-ctx.Done(): // it is not listened to yet
	case <-l.s.over:
	}
}

// finish makes lines of what has no end.
func (l *live) finish() {
	now := l.s.c.room.Now()
	l.s.c.add(l.err.end(l.out.end(nil, now), now))
	l.s.c.setTail("")
}

// catching is a log on its way into the record.
type catching struct {
	s        *session
	known    map[wire.ConsoleSource][]entry // the record's last lines of this container
	latest   time.Time                      // of those
	split    map[bool]*splitter             // by whether it is stderr
	window   []entry                        // lines that may be in the record already
	decided  bool
	lines    []entry   // on their way
	heldFrom time.Time // what is as new may have been heard, too; zero: nothing is
	held     []entry
}

// catchUp brings the record up to the end of the engine's log, and what was heard
// since l was attached behind it, each line once. l is nil when the container is
// down.
//
// A stream may begin within a line, and an engine may let it be heard before it is
// in its log: then the log is read again, until it has the line's beginning.
func (s *session) catchUp(ctx context.Context, l *live) error {
	patience := time.NewTimer(heardWithin)
	defer patience.Stop()
	again := time.NewTicker(readAgain)
	defer again.Stop()
	var heard []entry
	for last := false; ; {
		k, err := s.readLog(ctx, l)
		if err != nil || l == nil {
			return err
		}
		var ended error
		if heard, ended = k.hear(l, heard); k.join(heard, last || ended != nil || ctx.Err() != nil) {
			token(l.pipe.news) // it may have ended meanwhile
			return nil
		}
		select {
		case <-again.C:
		case <-patience.C:
			last = true
		case <-ctx.Done():
			last = true
		}
	}
}

// readLog records what the engine's log has and the record hasn't, but for what may
// have been heard, too: that is held back for join.
func (s *session) readLog(ctx context.Context, l *live) (*catching, error) {
	select {
	case s.c.room.reading <- struct{}{}:
		defer func() { <-s.c.room.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	k, which := s.known()
	if l != nil {
		k.heldFrom = l.asked.Add(-heardMargin)
	}
	err := s.c.room.Engine.Log(ctx, s.box, which, func(p runtime.LogPart) error {
		k.take(k.split[p.Stderr].feed(nil, p.Text, p.At))
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	if l == nil {
		for _, split := range k.split {
			k.take(split.end(nil, s.c.room.Now()))
		}
	}
	k.decide()
	s.c.add(k.lines)
	return k, nil
}

// known reads what the record has of the container, and says from where on its log
// is needed.
func (s *session) known() (*catching, runtime.LogRange) {
	k := &catching{s: s, known: map[wire.ConsoleSource][]entry{}, split: map[bool]*splitter{
		false: {source: wire.ConsoleOut}, true: {source: wire.ConsoleErr},
	}}
	s.c.mu.Lock()
	if s.c.open() == nil && s.c.record.about.Container == string(s.box) {
		past := s.c.past(max(s.c.record.about.From, s.c.record.next-lastLines))
		for _, source := range []wire.ConsoleSource{wire.ConsoleOut, wire.ConsoleErr} {
			if k.known[source] = of(past, source); len(k.known[source]) > 0 {
				if at := k.known[source][len(k.known[source])-1].at; at.After(k.latest) {
					k.latest = at
				}
			}
		}
	}
	s.c.mu.Unlock()
	s.c.follows(s.box)
	if k.latest.IsZero() {
		k.decided = true
		return k, runtime.LogRange{Last: catchAtMost}
	}
	return k, runtime.LogRange{Since: k.latest.Add(-logSlack)}
}

// take passes lines on, once it is clear which of them the record has.
func (k *catching) take(entries []entry) {
	for _, e := range entries {
		if !k.decided && !e.at.After(k.latest.Add(logSkew)) {
			if k.window = append(k.window, e); len(k.window) >= 2*catchAtMost {
				k.window = append(k.window[:0], k.window[catchAtMost:]...)
			}
			continue
		}
		k.decide()
		k.pass(e)
	}
}

// decide leaves out what the record has.
func (k *catching) decide() {
	if k.decided {
		return
	}
	k.decided = true
	skip := map[wire.ConsoleSource]int{}
	for _, source := range []wire.ConsoleSource{wire.ConsoleOut, wire.ConsoleErr} {
		skip[source] = recordedOf(k.known[source], of(k.window, source), k.latest)
	}
	for _, e := range without(k.window, skip) {
		k.pass(e)
	}
	k.window = nil
}

// pass records a line, or holds it back.
func (k *catching) pass(e entry) {
	if !k.heldFrom.IsZero() && !e.at.Before(k.heldFrom) {
		k.held = append(k.held, e)
		return
	}
	if k.lines = append(k.lines, e); len(k.lines) >= batch {
		k.s.c.add(k.lines)
		k.lines = k.lines[:0]
	}
}

// hear takes what was heard behind what was heard before, and waits a little for
// what the log has of the time since.
func (k *catching) hear(l *live, heard []entry) (all []entry, ended error) {
	due := 0
	for _, e := range k.held {
		if e.at.After(l.asked) {
			due++
		}
	}
	more, ended := l.split()
	heard = append(heard, more...)
	timer := time.NewTimer(heardWithin)
	defer timer.Stop()
	for len(heard) < due && ended == nil {
		select {
		case <-l.pipe.news:
			more, ended = l.split()
			heard = append(heard, more...)
		case <-timer.C:
			return heard, nil
		case <-k.s.ctx.Done():
			return heard, nil
		}
	}
	return heard, ended
}

// join records what was held back, and behind it what was heard and not logged
// before. Where nothing of the log was heard, what was heard may begin within a
// line: that is recorded only when it is the last try.
func (k *catching) join(heard []entry, last bool) bool {
	skip := map[wire.ConsoleSource]int{}
	for _, source := range []wire.ConsoleSource{wire.ConsoleOut, wire.ConsoleErr} {
		from := of(heard, source)
		skip[source] = overlapOf(of(k.held, source), from)
		if skip[source] == 0 && len(from) > 0 && !last {
			return false
		}
	}
	k.s.c.add(k.held)
	k.s.c.add(without(heard, skip))
	return true
}
