package invite

import (
	"context"
	"strings"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/login"
	"github.com/berth-panel/berth/controller/mail"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const maxToken = 100 // bytes; ours are shorter

// Look gives a link that works and whose it is.
func (s *Service) Look(ctx context.Context, token string) (Link, identity.User, error) {
	if len(token) > maxToken {
		return Link{}, identity.User{}, gone()
	}
	var l Link
	var u identity.User
	err := s.DB.Read(ctx, func(q store.Querier) (err error) {
		if l, err = find(ctx, q, digest(token), s.Now()); err != nil {
			return err
		}
		u, err = owner(ctx, q, l)
		return err
	})
	return l, u, err
}

// owner gives whose link it is; NotFound when it is worth nothing any more.
func owner(ctx context.Context, q store.Querier, l Link) (identity.User, error) {
	u, err := identity.Lookup(ctx, q, l.User)
	if err != nil {
		return u, err
	}
	moved := l.Purpose.setsPassword() && l.Email != "" && !strings.EqualFold(l.Email, u.Email)
	if u.Disabled || moved {
		return identity.User{}, gone()
	}
	return u, nil
}

// Entered is what using a link came to.
type Entered struct {
	Purpose      Purpose
	User         identity.User
	Cookie       string // of the login that began; "" none did
	SecondFactor bool   // he must log in, with the new password and his second factor
}

// Use takes a link. password is for those that choose one and must be "" for
// others. address is where the call comes from.
func (s *Service) Use(ctx context.Context, address, token, password string) (Entered, error) {
	l, u, err := s.Look(ctx, token)
	if err != nil {
		return Entered{}, err
	}
	var hashed identity.Hashed
	switch {
	case !l.Purpose.setsPassword() && password != "":
		return Entered{}, problem.Invalid("password", "this link changes no password")
	case l.Purpose.setsPassword():
		if hashed, err = s.Users.Hash(ctx, password); err != nil {
			return Entered{}, err
		}
	}
	him := access.Caller{Actor: access.Actor{Via: access.ViaSession, User: u.ID, Username: u.Username, Address: address}}
	ctx = access.With(ctx, him)
	var out Entered
	err = s.DB.Write(ctx, func(tx *store.Tx) error {
		if l, err = take(ctx, tx, digest(token), s.Now()); err != nil {
			return err
		}
		before, err := owner(ctx, tx, l)
		if err != nil {
			return err
		}
		if u, err = s.Users.Enter(ctx, tx, l.User, entry(l, hashed)); err != nil {
			return err
		}
		if err := s.tell(ctx, tx, Used, u.ID, map[string]any{"purpose": l.Purpose}); err != nil {
			return err
		}
		if err := s.after(ctx, tx, l, before, u); err != nil {
			return err
		}
		out, err = s.begin(ctx, tx, Entered{Purpose: l.Purpose, User: u})
		return err
	})
	if err != nil {
		return Entered{}, err
	}
	return out, nil
}

func entry(l Link, hashed identity.Hashed) identity.Entry {
	if l.Purpose == NewEmail {
		return identity.Entry{Email: l.Email, Verified: true}
	}
	return identity.Entry{Password: hashed, Verified: l.Email != ""}
}

// after voids what the change makes worthless, and tells the account's address.
func (s *Service) after(ctx context.Context, tx *store.Tx, l Link, before, now identity.User) error {
	for _, passwords := range []bool{true, false} {
		if err := void(ctx, tx, now.ID, passwords, s.Now()); err != nil {
			return err
		}
	}
	ready, err := s.Mail.Ready(ctx, tx)
	if err != nil || !ready {
		return err
	}
	switch l.Purpose {
	case Reset:
		return s.Mail.Order(ctx, tx, mail.Order{Kind: passwordChangedMail, About: about{User: now.ID, Email: now.Email}})
	case NewEmail:
		return s.Mail.Order(ctx, tx, mail.Order{Kind: emailChangedMail, About: about{User: now.ID, Email: before.Email}})
	default:
		return nil
	}
}

// begin logs him in, where a link is enough for that. An address that is confirmed
// is no login: whoever reads its mail may be somebody else.
func (s *Service) begin(ctx context.Context, tx *store.Tx, e Entered) (Entered, error) {
	if !e.Purpose.setsPassword() {
		return e, nil
	}
	with, err := s.Sessions.SecondFactors(ctx, tx, e.User.ID)
	if err != nil {
		return e, err
	}
	if with[e.User.ID] {
		e.SecondFactor = true
		return e, nil
	}
	begun, err := s.Sessions.Begin(ctx, tx, e.User.ID, login.ByLink)
	e.Cookie = begun.Cookie
	return e, err
}

// Guest is somebody who shall get at something without having an account yet.
type Guest struct {
	Email string
	By    string // who lets him, as the mail calls him
	To    string // what he gets at
}

// Host makes an account for a guest and orders his invitation; it gives the
// account. The address of somebody who has one is a Conflict. Without a mail server
// it is a Conflict too: there is nobody to hand a link over.
func (s *Service) Host(ctx context.Context, g Guest) (ident.User, error) {
	if err := mail.CheckAddress("email", g.Email); err != nil {
		return "", err
	}
	if err := s.mailable(ctx); err != nil {
		return "", err
	}
	if wait := s.inviters.Try(string(access.From(ctx).User), s.Now()); wait > 0 {
		return "", httpapi.TooMany(wait, "too many people were invited")
	}
	var u identity.User
	err := s.DB.Write(ctx, func(tx *store.Tx) (err error) {
		// The account is the house's and not the guest's host's: it can do nothing.
		house := access.With(ctx, access.Caller{})
		if u, err = s.Users.Admit(house, tx, identity.NewUser{Username: nameOf(g.Email), Email: g.Email}, "-"+ident.New()[:4], "-"+ident.New()[:8]); err != nil {
			return err
		}
		return s.order(ctx, tx, shareMail, about{User: u.ID, Email: g.Email, By: g.By, To: g.To}, Invitation, "mail")
	})
	return u.ID, err
}

// nameOf makes a name of what stands before the @.
func nameOf(email string) string {
	name, _, _ := strings.Cut(email, "@")
	short := []rune(name)
	return string(short[:min(len(short), 50)])
}
