package mail

import (
	"context"
	"net"
	"net/http"
	netmail "net/mail"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/setting"
	"github.com/berth-panel/berth/shared/problem"
)

// MailSettingsView is the mail server, without its password.
type MailSettingsView struct {
	Host        string   `json:"host" doc:"Empty: no mails are sent"`
	Port        int      `json:"port"`
	Security    Security `json:"security" enum:"starttls,tls,none" doc:"none is for a server on the controller's own machine only"`
	Username    string   `json:"username" doc:"Empty: the server asks for no login"`
	HasPassword bool     `json:"has_password"`
	From        string   `json:"from" doc:"The address that mails come from"`
	Alerts      bool     `json:"alerts" doc:"Admins get a mail when a node goes offline"`
	Waiting     int      `json:"waiting" doc:"Mails that are still to be sent"`
}

// MailSettingsBody changes the mail server; what is left out stays.
type MailSettingsBody struct {
	Host     *string                  `json:"host,omitempty" maxLength:"253" doc:"Empty: no mails are sent"`
	Port     *int                     `json:"port,omitempty" minimum:"1" maximum:"65535"`
	Security *Security                `json:"security,omitempty" enum:"starttls,tls,none"`
	Username *string                  `json:"username,omitempty" maxLength:"254"`
	Password httpapi.Optional[string] `json:"password,omitempty" maxLength:"1024" doc:"Goes in and never out. Must come again with another host, port, security or username. null takes it away"`
	From     *string                  `json:"from,omitempty" maxLength:"254"`
	Alerts   *bool                    `json:"alerts,omitempty"`
}

// MailTestBody asks for a mail that shows whether the settings are right.
type MailTestBody struct {
	To string `json:"to" minLength:"3" maxLength:"254" doc:"Who gets it"`
}

// Mount registers the settings of mail.
func (s *Service) Mount(a *httpapi.API) {
	httpapi.Handle(a, setting.Operation("get-mail-settings", http.MethodGet, "mail", "The mail server"), s.getSettings)
	patch := setting.Operation("update-mail-settings", http.MethodPatch, "mail", "Change the mail server")
	patch.Description = "Only an admin may: it carries links into everybody's account."
	httpapi.Handle(a, patch, s.patchSettings)
	test := setting.Operation("test-mail", http.MethodPost, "mail/test", "Send a mail now, to see whether the settings are right")
	test.Description = "Waits for the mail server. What the server says against it is in the error's message."
	test.Timeout = 2 * sendTimeout
	httpapi.Handle(a, test, s.postTest)
}

func (s *Service) getSettings(ctx context.Context, _ *struct{}) (MailSettingsView, error) {
	st, err := s.server.Get(ctx, nil)
	if err != nil {
		return MailSettingsView{}, err
	}
	return s.view(ctx, st)
}

func (s *Service) view(ctx context.Context, st setting.State[Server]) (MailSettingsView, error) {
	waiting, err := count(ctx, s.db.Snapshot())
	v := st.Value
	return MailSettingsView{Host: v.Host, Port: v.Port, Security: v.Security, Username: v.Username, HasPassword: st.HasSecret, From: v.From,
		Alerts: v.Alerts, Waiting: waiting}, err
}

func (s *Service) patchSettings(ctx context.Context, in *struct{ Body MailSettingsBody }) (MailSettingsView, error) {
	if !access.From(ctx).Admin {
		return MailSettingsView{}, problem.New(problem.Forbidden, "only an admin may change the mail server: it carries links into everybody's account")
	}
	st, err := s.server.Change(ctx, in.Body.apply)
	if err != nil {
		return MailSettingsView{}, err
	}
	s.rouse() // what waits for a server may have one now
	return s.view(ctx, st)
}

func (s *Service) postTest(ctx context.Context, in *struct{ Body MailTestBody }) (httpapi.Done, error) {
	return httpapi.Did("the mail server took the mail"), s.Test(ctx, in.Body.To)
}

func (b MailSettingsBody) apply(c *setting.Change[Server]) error {
	before := c.Value
	text := func(to, from *string) {
		if from != nil {
			*to = strings.TrimSpace(*from)
		}
	}
	text(&c.Value.Host, b.Host)
	text(&c.Value.Username, b.Username)
	text(&c.Value.From, b.From)
	if b.Port != nil {
		c.Value.Port = *b.Port
	}
	if b.Security != nil {
		c.Value.Security = *b.Security
	}
	if b.Alerts != nil {
		c.Value.Alerts = *b.Alerts
	}
	if b.Password.Set {
		c.Secret = &b.Password.Value // "" with null
	}
	if err := c.Value.check(); err != nil {
		return err
	}
	return keepPassword(before, c)
}

// keepPassword lets a password go only where it was meant for: who changes the
// server without knowing the password could else have it sent to himself.
func keepPassword(before Server, c *setting.Change[Server]) error {
	v := c.Value
	if v.Username == "" || v.Host == "" {
		none := ""
		c.Secret = &none
		return nil
	}
	moved := before.Host != v.Host || before.Port != v.Port || before.Security != v.Security || before.Username != v.Username
	switch {
	case !c.WillHaveSecret():
		return problem.Invalid("password", "is needed with a username")
	case moved && c.Secret == nil && c.HasSecret:
		return problem.Invalid("password", "must be given again with another host, port, security or username")
	}
	return nil
}

var hostForm = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*\.?$`)

func (s Server) check() error {
	switch {
	case s.Host != "" && net.ParseIP(s.Host) == nil && !hostForm.MatchString(s.Host):
		return problem.Invalid("host", "must be a name like mail.example.org, or an address")
	case s.Port < 1 || s.Port > 65535:
		return problem.Invalid("port", "1 to 65535")
	case s.Security != StartTLS && s.Security != TLS && s.Security != Plain:
		return problem.Invalid("security", "%q is none of starttls, tls, none", string(s.Security))
	case s.Security == Plain && s.Host != "" && !s.here():
		return problem.Invalid("security", "none is for a server on the controller's own machine only: take starttls or tls")
	case strings.ContainsFunc(s.Username, unicode.IsControl) || !utf8.ValidString(s.Username):
		return problem.Invalid("username", "only printable characters")
	case s.Host != "" && s.From == "":
		return problem.Invalid("from", "is needed: the address that mails come from")
	case s.From != "":
		return CheckAddress("from", s.From)
	}
	return nil
}

// CheckAddress takes a bare address only: a display name, a comment or a line
// break could become a header of its own.
func CheckAddress(field, address string) error {
	a, err := netmail.ParseAddress(address)
	if err != nil || a.Address != address || a.Name != "" || len(address) > 254 ||
		strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`<>[]"\,;`, r) }) {
		return problem.Invalid(field, "isn't an address like name@example.org")
	}
	return nil
}
