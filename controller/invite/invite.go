package invite

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/login"
	"github.com/berth-panel/berth/controller/mail"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/turnstile"
)

// The facts of this room. Their subject is the user's id.
const (
	Invited   event.Type = "user.invited"        // data: by, "mail" or "link"
	ResetSent event.Type = "password.reset_sent" // a link for a new password was mailed
	Used      event.Type = "link.used"           // data: purpose
)

// Purpose is what a link is for.
type Purpose string

// The purposes.
const (
	Invitation Purpose = "invite" // the first password
	Reset      Purpose = "reset"  // another password
	NewEmail   Purpose = "email"  // another address
)

// life is how long links work.
func (p Purpose) life() time.Duration {
	if p == Invitation {
		return 7 * 24 * time.Hour
	}
	return time.Hour
}

// setsPassword says whether who uses the link chooses a password.
func (p Purpose) setsPassword() bool { return p == Invitation || p == Reset }

// Link is a link without its token.
type Link struct {
	ID      string
	Purpose Purpose
	User    ident.User
	Email   string // where it was mailed to; with NewEmail the new address; "" it was handed over
	Expires time.Time
}

// Mailer is what this room needs of the mail room.
type Mailer interface {
	Ready(ctx context.Context, q store.Querier) (bool, error)
	Order(ctx context.Context, tx *store.Tx, o mail.Order) error
	Register(k mail.Kind, c mail.Composer)
}

// Sessions is what this room needs of the panel's logins.
type Sessions interface {
	Begin(ctx context.Context, tx *store.Tx, user ident.User, m login.Means) (login.Begun, error)
	SecondFactors(ctx context.Context, q store.Querier, user ident.User) (map[ident.User]bool, error)
}

// Deps is what the service is made of. All must be there; PublicURL may be "".
type Deps struct {
	DB        *store.DB
	Events    *event.Log
	Users     *identity.Service
	Mail      Mailer
	Sessions  Sessions
	PublicURL string // without a slash at the end
	Log       *slog.Logger
	Now       func() time.Time
}

// Service makes and takes links. It is safe for concurrent use.
type Service struct {
	Deps
	askers   *turnstile.Brake // by network
	accounts *turnstile.Brake // by address of mail
	inviters *turnstile.Brake // by user
}

// The paces of those who have mails sent.
var (
	askerPace   = turnstile.Pace{Free: 5, First: 10 * time.Second, Most: 10 * time.Minute, Forget: time.Hour, Places: 10_000}
	accountPace = turnstile.Pace{Free: 2, First: 5 * time.Minute, Most: time.Hour, Forget: 6 * time.Hour, Places: 10_000}
	inviterPace = turnstile.Pace{Free: 20, First: 30 * time.Second, Most: 30 * time.Minute, Forget: 6 * time.Hour, Places: 10_000}
)

// New makes the service and registers its mails.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Events == nil || d.Users == nil || d.Mail == nil || d.Sessions == nil || d.Log == nil || d.Now == nil {
		return nil, errors.New("invite: all but PublicURL must be given")
	}
	d.PublicURL = strings.TrimRight(d.PublicURL, "/")
	s := &Service{Deps: d, askers: turnstile.NewBrake(askerPace), accounts: turnstile.NewBrake(accountPace), inviters: turnstile.NewBrake(inviterPace)}
	s.registerMails()
	return s, nil
}

const tokenBytes = 32

// token makes what is in a link, and what is kept of it.
func token() (text string, hash []byte) {
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b) // never fails: crypto/rand aborts the process instead
	text = base64.RawURLEncoding.EncodeToString(b)
	return text, digest(text)
}

func digest(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func (s *Service) address() error {
	if s.PublicURL == "" {
		return problem.New(problem.Conflict, "this controller doesn't know its own address, which links are made of: start it with --public-url")
	}
	return nil
}

func (s *Service) url(token string) string { return s.PublicURL + "/link#" + token }

func gone() *problem.Problem {
	return problem.New(problem.NotFound, "this link was used, was replaced by a newer one, or has expired: ask for another")
}
