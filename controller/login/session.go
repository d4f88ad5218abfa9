package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

func hashCookie(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// Authenticate gives who calls with a cookie's text, as he stands now; a session
// that ended, and a user who is gone or disabled, is Unauthorized.
func (s *Service) Authenticate(ctx context.Context, text string) (access.Caller, error) {
	session, err := findByCookie(ctx, s.DB.Snapshot(), hashCookie(text))
	if err != nil {
		return access.Caller{}, err
	}
	return s.recall(ctx, session, access.Caller{})
}

// Recall is identity's, for callers that came by a session too: it must be there
// still.
func (s *Service) Recall(ctx context.Context, c access.Caller) (access.Caller, error) {
	if c.Session == "" {
		return s.Users.Recall(ctx, c)
	}
	session, err := findSession(ctx, s.DB.Snapshot(), c.User, c.Session)
	if problem.Is(err, problem.NotFound) {
		return access.Caller{}, loggedOut()
	}
	if err != nil {
		return access.Caller{}, err
	}
	return s.recall(ctx, session, c)
}

func (s *Service) recall(ctx context.Context, session Session, c access.Caller) (access.Caller, error) {
	now := s.Now()
	if session.over(now) {
		return access.Caller{}, loggedOut()
	}
	address := c.Address
	c, err := s.Users.Recall(ctx, access.Caller{
		Actor: access.Actor{Via: access.ViaSession, User: session.User}, Scopes: []access.Scope{access.ScopeAdmin}, Dialect: access.Documented,
	})
	if err != nil {
		return access.Caller{}, err
	}
	c.Session, c.Address = session.ID, address
	s.note(session.ID, now)
	return c, nil
}

// Begin logs a user in by means that another room has checked, in that room's
// transaction. A link is no way past a second factor: that is Unauthorized, and
// names what helps.
func (s *Service) Begin(ctx context.Context, tx *store.Tx, id ident.User, m Means) (Begun, error) {
	u, err := identity.Lookup(ctx, tx, id)
	if err != nil {
		return Begun{}, err
	}
	if u.Disabled {
		return Begun{}, problem.New(problem.Unauthorized, "your account is disabled")
	}
	if m == ByLink {
		f, err := factorsOf(ctx, tx, id)
		if err != nil {
			return Begun{}, err
		}
		if f.Any() {
			return Begun{}, refusedFactor(f, "a second factor is needed: log in with it")
		}
	}
	return s.start(as(ctx, u), tx, u, m)
}

// start makes the session; ctx's caller is who begins it.
func (s *Service) start(ctx context.Context, tx *store.Tx, u identity.User, m Means) (Begun, error) {
	visit := httpapi.VisitOf(ctx)
	if visit.Session != "" { // whoever's it was: the browser is about to forget it
		old, err := findByCookie(ctx, tx, hashCookie(visit.Session))
		if err == nil {
			err = s.end(ctx, tx, old, "the browser logged in anew")
		}
		if err != nil && !problem.Is(err, problem.Unauthorized) {
			return Begun{}, err
		}
	}
	if err := s.makeRoom(ctx, tx, u.ID); err != nil {
		return Begun{}, err
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: crypto/rand aborts the process instead
	now := s.Now().UTC().Truncate(time.Millisecond)
	b := Begun{Cookie: base64.RawURLEncoding.EncodeToString(raw), Session: Session{
		ID: ident.Session(ident.New()), User: u.ID, Means: m, Address: access.From(ctx).Address, Browser: visit.Browser,
		Created: now, Proved: now, LastSeen: now, Expires: now.Add(Life),
	}}
	if err := insertSession(ctx, tx, b.Session, hashCookie(b.Cookie)); err != nil {
		return Begun{}, err
	}
	return b, s.append(ctx, tx, SessionStarted, u.ID, string(b.ID), map[string]any{"means": m, "browser": b.Browser})
}

// makeRoom ends the sessions that were unused the longest, so that one more may be.
func (s *Service) makeRoom(ctx context.Context, tx *store.Tx, user ident.User) error {
	list, err := listSessions(ctx, tx, user)
	if err != nil {
		return err
	}
	for n := sessionsEach - 1; n < len(list); n++ {
		if err := s.end(ctx, tx, list[n], "there were too many"); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) end(ctx context.Context, tx *store.Tx, old Session, why string) error {
	if err := deleteSession(ctx, tx, old.ID); err != nil {
		return err
	}
	return s.append(ctx, tx, SessionEnded, old.User, string(old.ID), map[string]any{"why": why})
}

// EndAll ends a user's sessions, all but the one named, in the transaction that
// takes their ground away.
func (s *Service) EndAll(ctx context.Context, tx *store.Tx, user ident.User, but ident.Session, why string) error {
	list, err := listSessions(ctx, tx, user)
	if err != nil {
		return err
	}
	for _, old := range list {
		if old.ID == but {
			continue
		}
		if err := s.end(ctx, tx, old, why); err != nil {
			return err
		}
	}
	return nil
}

// Logout ends the caller's session.
func (s *Service) Logout(ctx context.Context) error {
	c, err := caller(ctx)
	if err != nil {
		return err
	}
	return s.End(ctx, c.Session)
}

// End ends one of the caller's sessions; NotFound for any other.
func (s *Service) End(ctx context.Context, id ident.Session) error {
	c, err := caller(ctx)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		old, err := findSession(ctx, tx, c.User, id)
		if err != nil {
			return err
		}
		return s.end(ctx, tx, old, "the user ended it")
	})
}

// EndOthers ends all of the caller's sessions but the one that he calls by.
func (s *Service) EndOthers(ctx context.Context) error {
	c, err := caller(ctx)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error { return s.EndAll(ctx, tx, c.User, c.Session, "the user ended it") })
}

// Sessions gives the caller's, the last seen first.
func (s *Service) Sessions(ctx context.Context) ([]Session, error) {
	c, err := caller(ctx)
	if err != nil {
		return nil, err
	}
	all, err := listSessions(ctx, s.DB.Snapshot(), c.User)
	if err != nil {
		return nil, err
	}
	now, list := s.Now(), []Session{}
	for _, one := range all {
		if one.ID == c.Session {
			one.LastSeen = now.UTC().Truncate(time.Millisecond)
		}
		if !one.over(now) {
			list = append(list, one)
		}
	}
	return list, nil
}

// refused makes a fact of a try that failed, for the account's owner, or, when
// nobody has that name, for admins: the same work either way. The name that was
// tried is in none: people type passwords there.
func (s *Service) refused(ctx context.Context, name, why string) {
	if !s.news.AllowN(s.Now(), 1) {
		return
	}
	u, err := s.Users.UserByUsername(ctx, name)
	other, err2 := s.Users.UserByEmail(ctx, name)
	if err != nil {
		u, err = other, err2
	}
	if err != nil && !problem.Is(err, problem.NotFound) {
		s.Log.Warn("a refused login couldn't be noted", "error", err.Error())
		return
	}
	s.refusedUser(ctx, u, why)
}

func (s *Service) refusedUser(ctx context.Context, u identity.User, why string) {
	actor := access.Actor{Via: access.ViaSession, User: u.ID, Username: u.Username, Address: access.From(ctx).Address}
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		return s.Events.Append(ctx, tx, event.Event{Type: SessionRefused, Owner: u.ID, Subject: string(u.ID), Actor: actor}, map[string]any{"why": why})
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		s.Log.Warn("a refused login couldn't be noted", "error", err.Error())
	}
}

// SecondFactors gives who needs more than his password; user "" is all.
func (s *Service) SecondFactors(ctx context.Context, q store.Querier, user ident.User) (map[ident.User]bool, error) {
	list, err := listWithFactor(ctx, q, user)
	if err != nil {
		return nil, fmt.Errorf("list second factors: %w", err)
	}
	with := make(map[ident.User]bool, len(list))
	for _, id := range list {
		with[id] = true
	}
	return with, nil
}

var _ identity.Logins = (*Service)(nil)
