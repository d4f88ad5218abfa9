package setting

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/berth-panel/berth/shared/problem"
)

// Locales are the languages of the panel and of mails.
func Locales() []string { return []string{"en", "de"} }

// Panel is what the panel says of itself.
type Panel struct {
	Name       string `json:"name"`        // 1 to 60 printable characters
	Locale     string `json:"locale"`      // of who has chosen none; one of Locales
	SupportURL string `json:"support_url"` // http, https or mailto; "" none
}

// PanelDocument is the document of the panel itself.
func PanelDocument(s *Store) *Document[Panel] {
	return Of(s, "panel", "", Panel{Name: "Berth", Locale: "en"})
}

const (
	maxPanelName = 60
	maxURL       = 500
)

func (p Panel) check() error {
	switch n := utf8.RuneCountInString(p.Name); {
	case n == 0:
		return problem.Invalid("name", "must not be empty")
	case n > maxPanelName:
		return problem.Invalid("name", "at most %d characters", maxPanelName)
	case !utf8.ValidString(p.Name) || strings.ContainsFunc(p.Name, func(r rune) bool { return !unicode.IsPrint(r) }):
		return problem.Invalid("name", "only printable characters")
	case !slices.Contains(Locales(), p.Locale):
		return problem.Invalid("locale", "%q is none of %s", p.Locale, strings.Join(Locales(), ", "))
	}
	return checkSupport(p.SupportURL)
}

// checkSupport lets only what a browser may safely be sent to: a javascript: link
// would run in the panel.
func checkSupport(s string) error {
	if s == "" {
		return nil
	}
	wrong := problem.Invalid("support_url", "must be like https://example.org/help or mailto:help@example.org")
	u, err := url.Parse(s)
	if err != nil || len(s) > maxURL || u.User != nil || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return wrong
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host == "" {
			return wrong
		}
	case "mailto":
		if !strings.Contains(u.Opaque, "@") {
			return wrong
		}
	default:
		return wrong
	}
	return nil
}

// Offers is what the login page may offer, as the rooms of logins and of mail
// know it.
type Offers interface {
	// OIDCButton is whose the other login is, for its button; "" when there is none.
	OIDCButton(ctx context.Context) (string, error)
	// Passkeys says whether passkeys work at the panel's address.
	Passkeys() bool
	// Mail says whether mails can be sent.
	Mail(ctx context.Context) (bool, error)
}
