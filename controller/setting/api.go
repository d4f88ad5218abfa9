package setting

import (
	"context"
	"net/http"
	"strings"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
)

// PanelSettingsView is what the panel says of itself, as it is set.
type PanelSettingsView struct {
	Name       string `json:"name" doc:"Shown in the header and in mails"`
	Locale     string `json:"locale" enum:"en,de" doc:"Of who has chosen none"`
	SupportURL string `json:"support_url" doc:"Where people find help; empty: nowhere"`
}

// PanelSettingsBody changes it; what is left out stays.
type PanelSettingsBody struct {
	Name       *string `json:"name,omitempty" minLength:"1" maxLength:"60"`
	Locale     *string `json:"locale,omitempty" enum:"en,de"`
	SupportURL *string `json:"support_url,omitempty" maxLength:"500" doc:"http, https or mailto; empty: none"`
}

// PanelView is what everybody may know of the panel, before he logs in.
type PanelView struct {
	Name       string         `json:"name"`
	Locale     string         `json:"locale" enum:"en,de" doc:"Of who has chosen none"`
	Locales    []string       `json:"locales" doc:"All there are"`
	SupportURL string         `json:"support_url" doc:"Where people find help; empty: nowhere"`
	OIDC       *PanelOIDCView `json:"oidc" doc:"The other login (OpenID Connect); null: there is none"`
	Passkeys   bool           `json:"passkeys" doc:"Passkeys work at this address"`
	Mail       bool           `json:"mail" doc:"Mails can be sent: a forgotten password can be reset without an admin"`
}

// PanelOIDCView is the other login.
type PanelOIDCView struct {
	Button string `json:"button" doc:"Whose it is, for its button"`
}

// Operation is a route of settings: shut to all but who may read or change them.
func Operation(id, method, path, summary string) httpapi.Operation {
	rule := access.Permits(access.WriteSettings)
	if method == http.MethodGet {
		rule = access.Permits(access.ReadSettings)
	}
	return httpapi.Operation{ID: id, Method: method, Path: "/api/v1/settings/" + path, Summary: summary, Tag: "settings", Access: rule}
}

type panelAPI struct {
	doc    *Document[Panel]
	offers Offers
}

// Mount registers the panel's settings, and what of them is public.
func Mount(a *httpapi.API, s *Store, offers Offers) {
	p := &panelAPI{doc: PanelDocument(s), offers: offers}
	httpapi.Handle(a, Operation("get-panel-settings", http.MethodGet, "panel", "What the panel says of itself"), p.get)
	httpapi.Handle(a, Operation("update-panel-settings", http.MethodPatch, "panel", "Change what the panel says of itself"), p.patch)
	httpapi.Handle(a, httpapi.Operation{ID: "get-panel", Method: http.MethodGet, Path: "/api/v1/panel", Tag: "settings", Access: access.Public(),
		Summary: "What the login page shows"}, p.public)
}

func (p *panelAPI) get(ctx context.Context, _ *struct{}) (PanelSettingsView, error) {
	st, err := p.doc.Get(ctx, nil)
	return PanelSettingsView(st.Value), err
}

func (p *panelAPI) patch(ctx context.Context, in *struct{ Body PanelSettingsBody }) (PanelSettingsView, error) {
	st, err := p.doc.Change(ctx, func(c *Change[Panel]) error {
		if in.Body.Name != nil {
			c.Value.Name = strings.TrimSpace(*in.Body.Name)
		}
		if in.Body.Locale != nil {
			c.Value.Locale = *in.Body.Locale
		}
		if in.Body.SupportURL != nil {
			c.Value.SupportURL = strings.TrimSpace(*in.Body.SupportURL)
		}
		return c.Value.check()
	})
	return PanelSettingsView(st.Value), err
}

func (p *panelAPI) public(ctx context.Context, _ *struct{}) (PanelView, error) {
	st, err := p.doc.Get(ctx, nil)
	if err != nil {
		return PanelView{}, err
	}
	v := PanelView{Name: st.Value.Name, Locale: st.Value.Locale, Locales: Locales(), SupportURL: st.Value.SupportURL, Passkeys: p.offers.Passkeys()}
	button, err := p.offers.OIDCButton(ctx)
	if err != nil {
		return PanelView{}, err
	}
	if button != "" {
		v.OIDC = &PanelOIDCView{Button: button}
	}
	v.Mail, err = p.offers.Mail(ctx)
	return v, err
}
