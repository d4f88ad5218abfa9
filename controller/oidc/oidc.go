package oidc

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/login"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/setting"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

// The facts of this room. Their subject is the user's id.
const (
	Linked   event.Type = "oidc.linked"
	Unlinked event.Type = "oidc.unlinked"
)

// Settings are the provider and what its word is worth.
type Settings struct {
	Issuer      string      `json:"issuer"` // "" none is set
	ClientID    string      `json:"client_id"`
	Button      string      `json:"button"` // whose login it is, for people
	LinkByEmail bool        `json:"link_by_email"`
	CreateUsers bool        `json:"create_users"`
	DefaultRole ident.Role  `json:"default_role_id"` // "" none
	GroupClaim  string      `json:"group_claim"`
	GroupRoles  []GroupRole `json:"group_roles"` // the first that fits counts
}

// GroupRole gives a role to who is in a group.
type GroupRole struct {
	Group string     `json:"group" minLength:"1" maxLength:"200"`
	Role  ident.Role `json:"role_id" minLength:"1" maxLength:"64"`
}

func (s Settings) enabled() bool { return s.Issuer != "" && s.ClientID != "" }

// Identity is who somebody is at a provider.
type Identity struct {
	Issuer   string
	Subject  string
	User     ident.User
	Email    string
	Created  time.Time
	LastUsed *time.Time
}

// Logins is what this room needs of the panel's logins.
type Logins interface {
	Begin(ctx context.Context, tx *store.Tx, user ident.User, m login.Means) (login.Begun, error)
	SecondFactors(ctx context.Context, q store.Querier, user ident.User) (map[ident.User]bool, error)
	CheckProof(ctx context.Context) (access.Caller, error)
	Authenticate(ctx context.Context, cookie string) (access.Caller, error)
}

// Deps are what the service is made of. All but PublicURL and Timeout
// must be there.
type Deps struct {
	DB        *store.DB
	Events    *event.Log
	Users     *identity.Service
	Logins    Logins
	Settings  *setting.Store
	Box       *secret.Box
	PublicURL string        // without a slash at the end
	Timeout   time.Duration // of one call to the provider; 0 is 10 s
	Log       *slog.Logger
	Now       func() time.Time
}

// Service is the other login. It is safe for concurrent use.
type Service struct {
	Deps
	settings *setting.Document[Settings]
	cookie   string // what browsers call the flow's cookie; set by Mount

	mu     sync.Mutex
	known  *provider // of the settings as they were
	failed failure
}

// New makes the service.
func New(d Deps) (*Service, error) {
	if d.DB == nil || d.Events == nil || d.Users == nil || d.Logins == nil || d.Settings == nil || d.Box == nil || d.Log == nil || d.Now == nil {
		return nil, errors.New("oidc: all but PublicURL and Timeout must be given")
	}
	if d.Timeout <= 0 {
		d.Timeout = callTimeout
	}
	d.PublicURL = strings.TrimRight(d.PublicURL, "/")
	return &Service{Deps: d, settings: setting.Of(d.Settings, "oidc", "client_secret", Settings{GroupClaim: "groups", GroupRoles: []GroupRole{}})}, nil
}

// Button is whose login it is, for the login page; "" when there is none.
func (s *Service) Button(ctx context.Context) (string, error) {
	st, err := s.settings.Get(ctx, nil)
	if err != nil || !st.Value.enabled() || s.PublicURL == "" {
		return "", err
	}
	if st.Value.Button == "" {
		return "OpenID Connect", nil
	}
	return st.Value.Button, nil
}
