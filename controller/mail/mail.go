package mail

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"crypto/x509"

	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/setting"
	"github.com/berth-panel/berth/controller/store"
)

// Failed is the fact that a mail was given up. Its data are the mail's kind and
// the reason.
const Failed event.Type = "mail.failed"

// Kind names what a mail is for: "reset". It is kept in the database.
type Kind string

// Order asks for a mail.
type Order struct {
	Kind  Kind
	About any           // marshalled to JSON; says whom and what it is about, never a secret
	Until time.Duration // from now; then it is given up. 0 is a day
}

// Letter is a mail that is about to be sent.
type Letter struct {
	To     string // a bare address
	Locale string // "" is the panel's
	Text   string // names the texts: "invite"
	Link   string // the mail's button; "" none
	// Fields are what the text has places for. Panel and Link are there already.
	Fields map[string]string
}

// Composer makes the letter of an order, at the moment in which it is sent. nil
// says that there is nothing to send any more. It may be called several times for
// one order, and an error counts as a passing failure.
type Composer func(ctx context.Context, about json.RawMessage) (*Letter, error)

// Config is what the service is made of. All but Roots must be there.
type Config struct {
	DB       *store.DB
	Events   *event.Log
	Settings *setting.Store
	Log      *slog.Logger
	Now      func() time.Time
	Roots    *x509.CertPool // that servers' certificates are checked against; nil the system's
}

// Service orders and sends mails. It is safe for concurrent use.
type Service struct {
	db     *store.DB
	events *event.Log
	server *setting.Document[Server]
	panel  *setting.Document[setting.Panel]
	log    *slog.Logger
	now    func() time.Time
	roots  *x509.CertPool
	texts  texts
	wake   chan struct{}

	mu    sync.Mutex
	kinds map[Kind]Composer
}

// New makes the service.
func New(cfg Config) (*Service, error) {
	if cfg.DB == nil || cfg.Events == nil || cfg.Settings == nil || cfg.Log == nil || cfg.Now == nil {
		return nil, errors.New("mail: DB, Events, Settings, Log and Now must be given")
	}
	t, err := readTexts()
	if err != nil {
		return nil, err
	}
	s := &Service{
		db: cfg.DB, events: cfg.Events, log: cfg.Log, now: cfg.Now, roots: cfg.Roots, texts: t, wake: make(chan struct{}, 1), kinds: map[Kind]Composer{},
		server: setting.Of(cfg.Settings, "mail", "password", Server{Port: 587, Security: StartTLS}), panel: setting.PanelDocument(cfg.Settings),
	}
	s.Register(alertMail, s.composeAlert)
	return s, nil
}

// Register says who composes mails of a kind, before Run.
func (s *Service) Register(k Kind, c Composer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kinds[k] = c
}

func (s *Service) composer(k Kind) Composer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kinds[k]
}

// Ready says whether mails can be sent: a server is set. q may be a transaction,
// or nil for the last commit.
func (s *Service) Ready(ctx context.Context, q store.Querier) (bool, error) {
	st, err := s.server.Get(ctx, q)
	return st.Value.ready(), err
}

// Security is how a server's connection is protected.
type Security string

// The ways.
const (
	StartTLS Security = "starttls" // asked for, and nothing is said without it
	TLS      Security = "tls"      // from the first byte
	Plain    Security = "none"     // not at all: this very machine only
)

// Server is the SMTP server and who mails come from.
type Server struct {
	Host     string   `json:"host"` // a name or an address; "" none is set
	Port     int      `json:"port"`
	Security Security `json:"security"`
	Username string   `json:"username"` // "" logs in nowhere
	From     string   `json:"from"`     // a bare address
	Alerts   bool     `json:"alerts"`   // mail admins when a node goes offline
}

func (s Server) ready() bool { return s.Host != "" && s.From != "" }

// here says whether the server is this very machine.
func (s Server) here() bool {
	if s.Host == "localhost" {
		return true
	}
	ip := net.ParseIP(s.Host)
	return ip != nil && ip.IsLoopback()
}
