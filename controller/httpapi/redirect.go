package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Redirect sends a browser on.
type Redirect struct {
	// To is an absolute URL, or a path of the panel. It must not be made of a
	// request's text.
	To      string
	Cookies []http.Cookie // Path, Domain, HttpOnly, Secure and SameSite=Lax are set here
	Session string        // the text of the panel's cookie, of who has logged in; "" leaves it
	Life    time.Duration // of the panel's cookie
}

// HandleRedirect registers a route that browsers are led through: it answers 303
// and says nothing itself. Op.Params describe what it reads.
func HandleRedirect(a *API, op Operation, h func(ctx context.Context, r *Request) (Redirect, error)) {
	r := a.add(op)
	if r == nil {
		return
	}
	r.raw = true
	r.run = func(k *call) error {
		to, err := h(k.ctx, &Request{call: k})
		if err != nil {
			return err
		}
		for _, c := range to.Cookies {
			k.http.Response.Header.Add("Set-Cookie", a.dress(c).String())
		}
		if to.Session != "" {
			for _, cookie := range a.loginCookies(to.Session, to.Life) {
				k.http.Response.Header.Add("Set-Cookie", cookie)
			}
		}
		k.http.Response.Header.Set("Location", to.To)
		k.http.SetStatusCode(http.StatusSeeOther)
		return nil
	}
	a.register(r.Operation, func() {
		out := a.responses(r, nil)
		for status := range out {
			if status != "default" {
				delete(out, status)
			}
		}
		out["303"] = &huma.Response{Description: "Go on there", Headers: map[string]*huma.Param{"Location": {Schema: &huma.Schema{Type: huma.TypeString}}}}
		a.huma.OpenAPI().AddOperation(a.describe(r, out))
	})
}

// dress protects a cookie as the panel's own is protected.
func (a *API) dress(c http.Cookie) *http.Cookie {
	c.Name = a.CookieName(c.Name)
	c.Path, c.Domain, c.HttpOnly, c.Secure, c.SameSite = "/", "", true, a.site.secure(), http.SameSiteLaxMode
	return &c
}

// CookieName is what browsers call one of our cookies.
func (a *API) CookieName(name string) string {
	if a.site.secure() {
		return cookiePrefix + name
	}
	return name
}
