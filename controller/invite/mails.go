package invite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/mail"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// The kinds of mails.
const (
	inviteMail          mail.Kind = "invite"
	shareMail           mail.Kind = "share"
	resetMail           mail.Kind = "reset"
	emailMail           mail.Kind = "email"
	passwordChangedMail mail.Kind = "password-changed"
	emailChangedMail    mail.Kind = "email-changed"
)

// about is what the orders of this room keep.
type about struct {
	User  ident.User `json:"user,omitempty"`
	Email string     `json:"email,omitempty"` // where the mail goes
	By    string     `json:"by,omitempty"`
	To    string     `json:"to,omitempty"`
}

// A writer makes a letter to a user; nil says that it isn't wanted any more.
type writer func(ctx context.Context, tx *store.Tx, a about, u identity.User) (*mail.Letter, error)

func (s *Service) registerMails() {
	for kind, write := range map[mail.Kind]writer{
		inviteMail: s.writeInvitation("invite"), shareMail: s.writeInvitation("share"), resetMail: s.writeReset, emailMail: s.writeEmail,
		passwordChangedMail: notice("password-changed"), emailChangedMail: notice("email-changed"),
	} {
		s.Mail.Register(kind, s.composer(write))
	}
}

// composer finds whom an order is about and lets write make the letter, in a
// transaction of which the link is made too.
func (s *Service) composer(write writer) mail.Composer {
	return func(ctx context.Context, raw json.RawMessage) (letter *mail.Letter, err error) {
		var a about
		if err := json.Unmarshal(raw, &a); err != nil {
			return nil, fmt.Errorf("read whom a mail is about: %w", err)
		}
		id := a.User
		if id == "" {
			u, err := s.Users.UserByEmail(ctx, a.Email)
			if problem.Is(err, problem.NotFound) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			id = u.ID
		}
		err = s.DB.Write(ctx, func(tx *store.Tx) error {
			u, err := identity.Lookup(ctx, tx, id)
			if problem.Is(err, problem.NotFound) || (err == nil && u.Disabled) {
				return nil
			}
			if err != nil {
				return err
			}
			if letter, err = write(ctx, tx, a, u); err != nil || letter == nil {
				return err
			}
			if letter.Locale, err = identity.LocaleOf(ctx, tx, u.ID); err != nil {
				return err
			}
			if letter.Fields == nil {
				letter.Fields = map[string]string{}
			}
			letter.Fields["Username"] = u.Username
			return nil
		})
		if err != nil {
			letter = nil
		}
		return letter, err
	}
}

// withLink makes the link of a letter to a password.
func (s *Service) withLink(ctx context.Context, tx *store.Tx, a about, u identity.User, p Purpose, text string) (*mail.Letter, error) {
	if !strings.EqualFold(a.Email, u.Email) {
		return nil, nil // he has another address by now
	}
	if err := s.address(); err != nil {
		return nil, err
	}
	_, url, err := s.make(ctx, tx, u.ID, p, u.Email)
	return &mail.Letter{To: u.Email, Text: text, Link: url}, err
}

func (s *Service) writeInvitation(text string) writer {
	return func(ctx context.Context, tx *store.Tx, a about, u identity.User) (*mail.Letter, error) {
		if has, err := identity.HasPassword(ctx, tx, u.ID); err != nil || has {
			return nil, err // he is in already
		}
		letter, err := s.withLink(ctx, tx, a, u, Invitation, text)
		if letter != nil {
			letter.Fields = map[string]string{"Days": strconv.Itoa(int(Invitation.life() / (24 * time.Hour))), "By": unlinked(a.By), "Instance": unlinked(a.To)}
		}
		return letter, err
	}
}

func (s *Service) writeReset(ctx context.Context, tx *store.Tx, a about, u identity.User) (*mail.Letter, error) {
	letter, err := s.withLink(ctx, tx, a, u, Reset, "reset")
	if err != nil || letter == nil {
		return nil, err
	}
	return letter, s.tell(ctx, tx, ResetSent, u.ID, nil)
}

func (s *Service) writeEmail(ctx context.Context, tx *store.Tx, a about, u identity.User) (*mail.Letter, error) {
	if u.Email == a.Email {
		return nil, nil
	}
	other, err := identity.LookupEmail(ctx, tx, a.Email)
	switch {
	case err == nil && other.ID != u.ID:
		return nil, nil // somebody has it; nobody who asks is told whether
	case err != nil && !problem.Is(err, problem.NotFound):
		return nil, err
	}
	if err := s.address(); err != nil {
		return nil, err
	}
	_, url, err := s.make(ctx, tx, u.ID, NewEmail, a.Email)
	return &mail.Letter{To: a.Email, Text: "email", Link: url}, err
}

// notice is a letter without a link, to the address that the order has.
func notice(text string) writer {
	return func(_ context.Context, _ *store.Tx, a about, u identity.User) (*mail.Letter, error) {
		if a.Email == "" {
			return nil, errors.New("a mail without an address")
		}
		return &mail.Letter{To: a.Email, Text: text, Fields: map[string]string{"Email": u.Email}}, nil
	}
}

const longestName = 60 // characters of what a customer has put into a mail to a stranger

// unlinked makes of a name that a customer has chosen what no mail program takes for
// an address to go to: such a mail comes from the panel, and must not be another's
// letter to whom he likes.
func unlinked(name string) string {
	if short := []rune(name); len(short) > longestName {
		name = string(short[:longestName]) + "…"
	}
	return strings.NewReplacer("://", " ", "/", " ", "@", " ", ".", "\u2024").Replace(name)
}
