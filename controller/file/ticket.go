package file

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// Wanted is what a ticket is for: a file, or entries as one archive.
type Wanted struct {
	Instance ident.Instance
	Path     wire.Path        // of the file, when there is no Bundle
	Bundle   *wire.FileBundle // or this
	Inline   bool             // as text, to be looked at
}

// wanted is what the tickets that nobody used yet are for; grant has whose they
// are. Safe for concurrent use.
type wanted struct {
	mu sync.Mutex
	of map[[sha256.Size]byte]wish
}

type wish struct {
	Wanted
	expires time.Time
}

func newWanted() wanted { return wanted{of: map[[sha256.Size]byte]wish{}} }

func (w *wanted) put(ticket grant.Ticket, what Wanted, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, old := range w.of { // no more than grant lets there be
		if !now.Before(old.expires) {
			delete(w.of, key)
		}
	}
	w.of[sha256.Sum256([]byte(ticket.Text))] = wish{what, ticket.Expires}
}

func (w *wanted) take(ticket string) (Wanted, bool) {
	key := sha256.Sum256([]byte(ticket))
	w.mu.Lock()
	defer w.mu.Unlock()
	found, ok := w.of[key]
	delete(w.of, key)
	return found.Wanted, ok
}

// Ticket gives the one-time key of a download's address, for browsers: it can
// show no API key, and an address gets about.
func (s *Service) Ticket(ctx context.Context, c access.Caller, want Wanted) (grant.Ticket, error) {
	t, err := s.Grants.Issue(ctx, c, want.Instance, access.ReadFiles, ForDownload)
	if err == nil {
		s.wanted.put(t, want, s.Now())
	}
	return t, err
}

// Redeem uses a ticket up and opens what it is for, as its issuer, who must have
// the right still.
func (s *Service) Redeem(ctx context.Context, ticket string) (Wanted, Content, error) {
	want, ok := s.wanted.take(ticket)
	if !ok {
		return want, Content{}, problem.New(problem.NotFound, "the link was used, or is older than %s: ask for a new one", grant.TicketLife)
	}
	c, err := s.Grants.Redeem(ctx, ticket, ForDownload, want.Instance)
	if err != nil {
		return want, Content{}, err
	}
	if want.Bundle != nil {
		content, err := s.Bundle(ctx, c, want.Instance, *want.Bundle)
		return want, content, err
	}
	content, err := s.Read(ctx, c, want.Instance, want.Path, Conditions{})
	return want, content, err
}
