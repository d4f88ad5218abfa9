package sftp

import (
	"sync"
	"time"

	"github.com/berth-panel/berth/shared/wire"
)

// diary is what was done in a session: each path once for each kind of deed,
// however many packets it took. The library calls from several goroutines.
type diary struct {
	began time.Time

	mu    sync.Mutex
	known map[wire.Deed]struct{}
	deeds []wire.Deed
	more  int
}

func newDiary(began time.Time) *diary {
	return &diary{began: began, known: map[wire.Deed]struct{}{}}
}

// note writes a deed down that was done.
func (d *diary) note(what string, at, to wire.Path) {
	deed := wire.Deed{What: what, Path: text(at)}
	if to != "" {
		deed.To = text(to)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch _, known := d.known[deed]; {
	case known:
	case len(d.deeds) == wire.SessionDeeds:
		d.more++
	default:
		d.known[deed] = struct{}{}
		d.deeds = append(d.deeds, deed)
	}
}

// text is a path as JSON can have it.
func text(p wire.Path) string {
	b, err := p.MarshalText()
	if err != nil {
		return ""
	}
	return string(b)
}

// end is the session as the controller is told of it.
func (d *diary) end(g guest, now time.Time) wire.Event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return wire.Event{At: now.UTC(), Type: wire.EventSession, Instance: g.instance,
		Session: &wire.Session{User: g.user, Address: g.address, Began: d.began.UTC(), Deeds: d.deeds, More: d.more}}
}
