package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
	"golang.org/x/time/rate"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/turnstile"
)

// Users are whose logins these are (controller/identity).
type Users interface {
	Recall(ctx context.Context, c access.Caller) (access.Caller, error)
	Prove(ctx context.Context, name, password string) (identity.Proof, error)
	ProveUser(ctx context.Context, id ident.User, password string) (identity.Proof, error)
	User(ctx context.Context, id ident.User) (identity.User, error)
	UserByUsername(ctx context.Context, name string) (identity.User, error)
	UserByEmail(ctx context.Context, email string) (identity.User, error)
	UpdateUser(ctx context.Context, id ident.User, c identity.UserChange) (identity.User, error)
	Me(ctx context.Context) (identity.MeView, error)
	SetLocale(ctx context.Context, id ident.User, locale string) error
	CheckReach(ctx context.Context, q store.Querier, u identity.User) error
}

// Deps are what this stands on; all are needed but PublicURL.
type Deps struct {
	DB        *store.DB
	Events    *event.Log
	Users     Users
	Secrets   *secret.Box
	PublicURL string // where browsers find the panel; its host is whose passkeys are
	Log       *slog.Logger
	Now       func() time.Time
}

// Service is the logins. Safe for concurrent use. Run it.
type Service struct {
	Deps
	emails     Emails // nil: addresses change at once
	guesses    *turnstile.Guesses
	codes      *turnstile.Brake
	party      *webauthn.WebAuthn
	ceremonies *ceremonies
	news       *rate.Limiter // of refusals that become events

	mu   sync.Mutex
	seen map[ident.Session]int64 // milliseconds, since it was written down last
}

// How many refusals become events: a burst, and then one in six seconds.
const (
	newsBurst = 60
	newsEvery = 6 * time.Second
)

// New makes the service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Events == nil || d.Users == nil || d.Secrets == nil || d.Log == nil || d.Now == nil {
		return nil, errors.New("login: DB, Events, Users, Secrets, Log and Now must be given")
	}
	party, err := newParty(d.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("login: passkeys: %w", err)
	}
	return &Service{
		Deps: d, guesses: turnstile.NewGuesses(), codes: turnstile.NewBrake(codePace), party: party, ceremonies: newCeremonies(),
		news: rate.NewLimiter(rate.Every(newsEvery), newsBurst), seen: map[ident.Session]int64{},
	}, nil
}

const (
	flushInterval = 30 * time.Second
	flushTimeout  = 5 * time.Second
	purgeEvery    = 120 // flushes: an hour
)

// Run writes down when sessions were seen, and forgets those that are over, until
// ctx ends.
func (s *Service) Run(ctx context.Context) {
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	for n := 0; ; n++ {
		if n%purgeEvery == 0 {
			s.purge(ctx)
		}
		select {
		case <-ctx.Done():
			s.flush(ctx)
			return
		case <-tick.C:
			s.flush(ctx)
		}
	}
}

func (s *Service) note(id ident.Session, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[id] = at.UnixMilli()
}

// flush loses what it can't write: the next use is noted again.
func (s *Service) flush(ctx context.Context) {
	s.mu.Lock()
	seen := s.seen
	s.seen = map[ident.Session]int64{}
	s.mu.Unlock()
	if len(seen) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	if err := s.DB.WriteBehind(ctx, func(tx *store.Tx) error { return touchSessions(ctx, tx, seen) }); err != nil {
		s.Log.Warn("when sessions were seen couldn't be written", "sessions", len(seen), "error", err.Error())
	}
}

func (s *Service) purge(ctx context.Context) {
	now := s.Now()
	if err := s.DB.WriteBehind(ctx, func(tx *store.Tx) error { return purgeSessions(ctx, tx, now) }); err != nil && ctx.Err() == nil {
		s.Log.Warn("sessions that are over couldn't be removed", "error", err.Error())
	}
}

// append writes a fact about a user, which he may see.
func (s *Service) append(ctx context.Context, tx *store.Tx, t event.Type, user ident.User, subject string, data any) error {
	by := access.From(ctx).Actor
	if by.Via == "" {
		by.Via = access.ViaSystem
	}
	return s.Events.Append(ctx, tx, event.Event{Type: t, Owner: user, Subject: subject, Actor: by}, data)
}

// as is ctx with the user as who acts: somebody who is about to be logged in.
func as(ctx context.Context, u identity.User) context.Context {
	address := access.From(ctx).Address
	return access.With(ctx, access.Caller{Actor: access.Actor{Via: access.ViaSession, User: u.ID, Username: u.Username, Address: address}})
}

// caller is who is logged in.
func caller(ctx context.Context) (access.Caller, error) {
	c := access.From(ctx)
	if c.User == "" || c.Session == "" {
		return c, problem.New(problem.Forbidden, "this is for who is logged in to the panel")
	}
	return c, nil
}
