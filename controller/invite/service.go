package invite

import (
	"context"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/mail"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/turnstile"
)

// make makes a link in a transaction; older ones of its kind work no more.
func (s *Service) make(ctx context.Context, tx *store.Tx, user ident.User, p Purpose, email string) (Link, string, error) {
	now := s.Now()
	if err := void(ctx, tx, user, p.setsPassword(), now); err != nil {
		return Link{}, "", err
	}
	text, hash := token()
	l := Link{ID: ident.New(), Purpose: p, User: user, Email: email, Expires: now.Add(p.life()).UTC().Truncate(time.Millisecond)}
	return l, s.url(text), insert(ctx, tx, l, hash, now)
}

// Void ends a user's links for another password, in the transaction that gives him
// one: whoever asked for a link before, it was not for this password.
func (s *Service) Void(ctx context.Context, tx *store.Tx, user ident.User) error {
	return void(ctx, tx, user, true, s.Now())
}

// Sent is how an invitation went out.
type Sent struct {
	Mailed  bool
	Link    string // to hand over, when it wasn't mailed
	Expires time.Time
}

// Invite lets a user choose his password: by mail when there is a server, else, or
// when byHand, by a link that the caller hands over. For who has a password
// already it is a link for another one, which lives shorter. The caller must be
// one who may change the user.
func (s *Service) Invite(ctx context.Context, user ident.User, byHand bool) (Sent, error) {
	if err := s.address(); err != nil {
		return Sent{}, err
	}
	if err := s.Users.CheckProof(ctx); err != nil {
		return Sent{}, err
	}
	var out Sent
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		u, err := s.invitable(ctx, tx, user)
		if err != nil {
			return err
		}
		p, kind := Invitation, inviteMail
		has, err := identity.HasPassword(ctx, tx, user)
		if err != nil {
			return err
		}
		if has {
			p, kind = Reset, resetMail
		}
		ready, err := s.Mail.Ready(ctx, tx)
		if err != nil {
			return err
		}
		if ready && !byHand {
			out = Sent{Mailed: true, Expires: s.Now().Add(p.life()).UTC().Truncate(time.Millisecond)}
			return s.order(ctx, tx, kind, about{User: user, Email: u.Email}, p, "mail")
		}
		l, url, err := s.make(ctx, tx, user, p, "")
		out = Sent{Link: url, Expires: l.Expires}
		if err != nil {
			return err
		}
		return s.tell(ctx, tx, Invited, user, map[string]any{"by": "link"})
	})
	return out, err
}

// invitable gives a user whom the caller may let in.
func (s *Service) invitable(ctx context.Context, tx *store.Tx, id ident.User) (identity.User, error) {
	u, err := identity.Lookup(ctx, tx, id)
	switch {
	case err != nil:
		return u, err
	case u.Disabled:
		return u, problem.New(problem.Conflict, "this account is disabled: enable it first")
	}
	return u, s.Users.CheckReach(ctx, tx, u)
}

// order orders the mail with a link; the link is made when it is sent.
func (s *Service) order(ctx context.Context, tx *store.Tx, k mail.Kind, a about, p Purpose, by string) error {
	// An older link stops here, and not when the mail has gone out at last.
	if err := void(ctx, tx, a.User, p.setsPassword(), s.Now()); err != nil {
		return err
	}
	if err := s.Mail.Order(ctx, tx, mail.Order{Kind: k, About: a, Until: p.life()}); err != nil {
		return err
	}
	return s.tell(ctx, tx, Invited, a.User, map[string]any{"by": by})
}

// tell writes a fact about a user, by whoever calls.
func (s *Service) tell(ctx context.Context, tx *store.Tx, t event.Type, user ident.User, data any) error {
	by := access.System()
	if c := access.From(ctx); c.Known() {
		by = c.Actor
	}
	return s.Events.Append(ctx, tx, event.Event{Type: t, Owner: user, Subject: string(user), Actor: by}, data)
}

// Forgot orders a mail with a link for a new password, whether there is such an
// account or not. Without a mail server it is a Conflict.
func (s *Service) Forgot(ctx context.Context, address, email string) error {
	if err := mail.CheckAddress("email", email); err != nil {
		return err
	}
	if err := s.mailable(ctx); err != nil {
		return err
	}
	now := s.Now()
	if wait := s.askers.Try(turnstile.Network(address), now); wait > 0 {
		return httpapi.TooMany(wait, "too many passwords were forgotten at this address")
	}
	if s.accounts.Try(strings.ToLower(email), now) > 0 {
		return nil // a mail is on its way already; who asks isn't told that
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error {
		return s.Mail.Order(ctx, tx, mail.Order{Kind: resetMail, About: about{Email: email}, Until: Reset.life()})
	})
}

// mailable is nil when links can be mailed.
func (s *Service) mailable(ctx context.Context) error {
	ready, err := s.Mail.Ready(ctx, nil)
	if err != nil {
		return err
	}
	if !ready || s.PublicURL == "" {
		return problem.New(problem.Conflict, "this panel can't send mails: ask the people behind it for a link")
	}
	return nil
}

// ChangeEmail changes a user's address: by a link to the new one when mails can be
// sent (pending), else at once, as an address that nobody has confirmed.
func (s *Service) ChangeEmail(ctx context.Context, user ident.User, email string) (pending bool, err error) {
	if err := mail.CheckAddress("email", email); err != nil {
		return false, err
	}
	u, err := s.Users.User(ctx, user)
	if err != nil || u.Email == email {
		return false, err
	}
	ready, err := s.Mail.Ready(ctx, nil)
	if err != nil {
		return false, err
	}
	if !ready || s.PublicURL == "" {
		unconfirmed := false
		_, err := s.Users.UpdateUser(ctx, user, identity.UserChange{Email: &email, Verified: &unconfirmed})
		return false, err
	}
	if wait := s.inviters.Try(string(user), s.Now()); wait > 0 {
		return false, httpapi.TooMany(wait, "too many mails were asked for")
	}
	// Whether somebody else has the address shows when it is confirmed, to who can
	// read its mail, and to nobody before.
	return true, s.DB.Write(ctx, func(tx *store.Tx) error {
		if err := void(ctx, tx, user, false, s.Now()); err != nil {
			return err
		}
		return s.Mail.Order(ctx, tx, mail.Order{Kind: emailMail, About: about{User: user, Email: email}, Until: NewEmail.life()})
	})
}
