package app

import (
	"context"
	"net/url"

	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/invite"
	"github.com/berth-panel/berth/controller/mail"
	"github.com/berth-panel/berth/controller/oidc"
	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/controller/setting"
)

// openPeople makes the rooms by which people get in, beside the logins.
func (a *App) openPeople(box *secret.Box) (err error) {
	log, now := a.cfg.Log, a.cfg.Now
	if a.Settings, err = setting.New(setting.Config{DB: a.DB, Events: a.Events, Box: box, Now: now}); err != nil {
		return err
	}
	if a.Mail, err = mail.New(mail.Config{DB: a.DB, Events: a.Events, Settings: a.Settings, Log: log, Now: now}); err != nil {
		return err
	}
	a.Invites, err = invite.New(invite.Deps{DB: a.DB, Events: a.Events, Users: a.Users, Mail: a.Mail, Sessions: a.Logins, PublicURL: a.url, Log: log, Now: now})
	if err != nil {
		return err
	}
	a.Logins.AttachEmails(a.Invites)
	a.Users.AttachLinks(a.Invites)
	a.OIDC, err = oidc.New(oidc.Deps{DB: a.DB, Events: a.Events, Users: a.Users, Logins: a.Logins, Settings: a.Settings, Box: box, PublicURL: a.url, Log: log, Now: now})
	return err
}

func (a *App) mountPeople() {
	setting.Mount(a.API, a.Settings, offers{a})
	a.Mail.Mount(a.API)
	a.Invites.Mount(a.API)
	a.OIDC.Mount(a.API)
}

// offers is what the login page may offer.
type offers struct{ app *App }

// OIDCButton is the other login's.
func (o offers) OIDCButton(ctx context.Context) (string, error) { return o.app.OIDC.Button(ctx) }

// Mail says whether a forgotten password can be reset by mail.
func (o offers) Mail(ctx context.Context) (bool, error) {
	ready, err := o.app.Mail.Ready(ctx, nil)
	return ready && o.app.url != "", err
}

// Passkeys says whether browsers let the panel use them: by https, and at localhost.
func (o offers) Passkeys() bool {
	u, err := url.Parse(o.app.url)
	return err == nil && (u.Scheme == "https" || u.Hostname() == "localhost" || u.Host == "")
}

// admins are who gets alerts.
type admins struct{ users *identity.Service }

// Admins gives the enabled ones.
func (a admins) Admins(ctx context.Context) ([]mail.Person, error) {
	yes, no := true, false
	list, _, err := a.users.Users(ctx, identity.UserFilter{Admin: &yes, Disabled: &no})
	out := make([]mail.Person, len(list))
	for n, u := range list {
		out[n] = mail.Person{Email: u.Email}
	}
	return out, err
}
