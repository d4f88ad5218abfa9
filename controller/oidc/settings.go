package oidc

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/setting"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// OIDCSettingsView is the provider, without the client's secret.
type OIDCSettingsView struct {
	Issuer      string      `json:"issuer" doc:"Empty: there is no other login"`
	ClientID    string      `json:"client_id"`
	HasSecret   bool        `json:"has_client_secret"`
	RedirectURI string      `json:"redirect_uri" doc:"What the provider must know as this client's; empty: the controller needs --public-url"`
	Button      string      `json:"button" doc:"Whose login it is, for its button"`
	LinkByEmail bool        `json:"link_by_email" doc:"Accounts of customers are linked by a verified address"`
	CreateUsers bool        `json:"create_users" doc:"Who has no account gets one"`
	DefaultRole ident.Role  `json:"default_role_id" doc:"Of accounts that are made; empty: none"`
	GroupClaim  string      `json:"group_claim"`
	GroupRoles  []GroupRole `json:"group_roles" doc:"The first group that fits gives the role, at each login. Empty: groups mean nothing"`
}

// OIDCSettingsBody changes the provider; what is left out stays.
type OIDCSettingsBody struct {
	Issuer       *string                  `json:"issuer,omitempty" maxLength:"500"`
	ClientID     *string                  `json:"client_id,omitempty" maxLength:"200"`
	ClientSecret httpapi.Optional[string] `json:"client_secret,omitempty" maxLength:"1024" doc:"Goes in and never out. Must come again with another issuer. null takes it away"`
	Button       *string                  `json:"button,omitempty" maxLength:"40"`
	LinkByEmail  *bool                    `json:"link_by_email,omitempty"`
	CreateUsers  *bool                    `json:"create_users,omitempty"`
	DefaultRole  *ident.Role              `json:"default_role_id,omitempty" maxLength:"64"`
	GroupClaim   *string                  `json:"group_claim,omitempty" maxLength:"100"`
	GroupRoles   *[]GroupRole             `json:"group_roles,omitempty" maxItems:"100"`
}

func (s *Service) mountSettings(a *httpapi.API) {
	httpapi.Handle(a, setting.Operation("get-oidc-settings", http.MethodGet, "oidc", "The provider of the other login"), s.getSettings)
	patch := setting.Operation("update-oidc-settings", http.MethodPatch, "oidc", "Change the provider of the other login")
	patch.Description = "Only an admin may: the provider says who gets in as whom."
	httpapi.Handle(a, patch, s.patchSettings)
	httpapi.Handle(a, setting.Operation("test-oidc", http.MethodPost, "oidc/test", "See whether the provider answers"), s.postTest)
}

func (s *Service) view(st setting.State[Settings]) OIDCSettingsView {
	v := st.Value
	out := OIDCSettingsView{Issuer: v.Issuer, ClientID: v.ClientID, HasSecret: st.HasSecret, Button: v.Button, LinkByEmail: v.LinkByEmail,
		CreateUsers: v.CreateUsers, DefaultRole: v.DefaultRole, GroupClaim: v.GroupClaim, GroupRoles: v.GroupRoles}
	if s.PublicURL != "" {
		out.RedirectURI = s.PublicURL + callbackPath
	}
	if out.GroupRoles == nil {
		out.GroupRoles = []GroupRole{}
	}
	return out
}

func (s *Service) getSettings(ctx context.Context, _ *struct{}) (OIDCSettingsView, error) {
	st, err := s.settings.Get(ctx, nil)
	return s.view(st), err
}

func (s *Service) patchSettings(ctx context.Context, in *struct{ Body OIDCSettingsBody }) (OIDCSettingsView, error) {
	if !access.From(ctx).Admin {
		return OIDCSettingsView{}, problem.New(problem.Forbidden, "only an admin may change the provider: it says who gets in as whom")
	}
	st, err := s.settings.Change(ctx, func(c *setting.Change[Settings]) error {
		before := c.Value.Issuer
		in.Body.apply(c)
		if err := c.Value.check(); err != nil {
			return err
		}
		if err := checkRoles(ctx, c.Stored, c.Value); err != nil {
			return err
		}
		if c.Value.Issuer == "" && c.HasSecret {
			none := ""
			c.Secret = &none
			return nil
		}
		if c.Value.Issuer != before && c.HasSecret && c.Secret == nil {
			return problem.Invalid("client_secret", "must be given again, or null, with another issuer")
		}
		return nil
	})
	return s.view(st), err
}

func (s *Service) postTest(ctx context.Context, _ *struct{}) (httpapi.Done, error) {
	_, err := s.provider(ctx)
	return httpapi.Did("the provider answers"), err
}

func (b OIDCSettingsBody) apply(c *setting.Change[Settings]) {
	text := func(to, from *string) {
		if from != nil {
			*to = strings.TrimSpace(*from)
		}
	}
	v := &c.Value
	text(&v.Issuer, b.Issuer)
	text(&v.ClientID, b.ClientID)
	text(&v.Button, b.Button)
	text(&v.GroupClaim, b.GroupClaim)
	if b.LinkByEmail != nil {
		v.LinkByEmail = *b.LinkByEmail
	}
	if b.CreateUsers != nil {
		v.CreateUsers = *b.CreateUsers
	}
	if b.DefaultRole != nil {
		v.DefaultRole = *b.DefaultRole
	}
	if b.GroupRoles != nil {
		v.GroupRoles = *b.GroupRoles
	}
	if b.ClientSecret.Set {
		c.Secret = &b.ClientSecret.Value
	}
}

func (s Settings) check() error {
	for field, value := range map[string]string{"client_id": s.ClientID, "button": s.Button, "group_claim": s.GroupClaim} {
		if !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return problem.Invalid(field, "only printable characters")
		}
	}
	if s.Issuer == "" {
		return nil
	}
	u, err := url.Parse(s.Issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || checkEndpoint(u) != nil {
		return problem.Invalid("issuer", "must be like https://login.example.org")
	}
	if s.ClientID == "" {
		return problem.Invalid("client_id", "is needed with an issuer")
	}
	return nil
}

func checkRoles(ctx context.Context, q store.Querier, v Settings) error {
	role, err := living(ctx, q, v.DefaultRole)
	if err != nil {
		return err
	}
	if role != v.DefaultRole {
		return problem.Invalid("default_role_id", "there is no such role")
	}
	for _, g := range v.GroupRoles {
		role, err := living(ctx, q, g.Role)
		if err != nil {
			return err
		}
		if role == "" {
			return problem.Invalid("group_roles", "there is no role for the group %.100q", g.Group)
		}
	}
	return nil
}
