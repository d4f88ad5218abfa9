package grant

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// ticketBytes of chance make a ticket.
const ticketBytes = 32

// Ticket opens one door once.
type Ticket struct {
	Text    string
	Expires time.Time
}

// ticket is what is kept of one; its text is not.
type ticket struct {
	caller   access.Caller
	instance ident.Instance
	purpose  Purpose
	expires  time.Time
}

// tickets are those that nobody used yet. Safe for concurrent use.
type tickets struct {
	mu   sync.Mutex
	open map[[sha256.Size]byte]ticket
	of   map[ident.User]int
}

func newTickets() tickets {
	return tickets{open: map[[sha256.Size]byte]ticket{}, of: map[ident.User]int{}}
}

// Issue gives a ticket for one door of the instance to a caller who has the
// right there; what he may do inside is asked there.
func (s *Service) Issue(ctx context.Context, caller access.Caller, id ident.Instance, right access.Right, purpose Purpose) (Ticket, error) {
	if _, err := s.Allow(ctx, caller, id, right); err != nil {
		return Ticket{}, err
	}
	secret := make([]byte, ticketBytes)
	_, _ = rand.Read(secret) // never fails: crypto/rand aborts the process instead
	now := s.Now()
	out := Ticket{Text: base64.RawURLEncoding.EncodeToString(secret), Expires: now.Add(TicketLife)}
	err := s.tickets.put(sha256.Sum256([]byte(out.Text)), ticket{caller: caller, instance: id, purpose: purpose, expires: out.Expires}, now)
	if err != nil {
		return Ticket{}, err
	}
	return out, nil
}

// Redeem uses a ticket up and gives whose it is, as he stands now. One that is
// unknown, used, too old, or for another door or instance is UNAUTHORIZED.
func (s *Service) Redeem(ctx context.Context, text string, purpose Purpose, id ident.Instance) (access.Caller, error) {
	t, ok := s.tickets.take(sha256.Sum256([]byte(text)))
	if !ok || t.purpose != purpose || t.instance != id || !s.Now().Before(t.expires) {
		return access.Caller{}, problem.New(problem.Unauthorized, "the ticket is wrong, used or older than %s: ask for a new one", TicketLife)
	}
	return s.Callers.Recall(ctx, t.caller)
}

func (s *tickets) put(key [sha256.Size]byte, t ticket, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.of[t.caller.User] >= ticketsEach || len(s.open) >= ticketsMost {
		s.forget(now)
	}
	if s.of[t.caller.User] >= ticketsEach || len(s.open) >= ticketsMost {
		return problem.New(problem.RateLimited, "too many tickets wait to be used: use one, or wait %s", TicketLife)
	}
	s.open[key] = t
	s.of[t.caller.User]++
	return nil
}

func (s *tickets) take(key [sha256.Size]byte) (ticket, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.open[key]
	if ok {
		s.remove(key, t)
	}
	return t, ok
}

// sweep drops those that are too old.
func (s *tickets) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
}

func (s *tickets) forget(now time.Time) {
	for key, t := range s.open {
		if !now.Before(t.expires) {
			s.remove(key, t)
		}
	}
}

func (s *tickets) remove(key [sha256.Size]byte, t ticket) {
	delete(s.open, key)
	if s.of[t.caller.User]--; s.of[t.caller.User] <= 0 {
		delete(s.of, t.caller.User)
	}
}
