package oidc

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/login"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	startPath    = "/api/v1/auth/oidc/start"
	callbackPath = "/api/v1/auth/oidc/callback"
	flowCookie   = "berth_oidc"
)

// OIDCView is the other login, as everybody may know of it.
type OIDCView struct {
	Enabled bool   `json:"enabled"`
	Button  string `json:"button" doc:"Whose it is, for its button"`
	Start   string `json:"start" doc:"Where the browser goes"`
}

// OIDCIdentityView is one other login of the caller.
type OIDCIdentityView struct {
	ID         string     `json:"id"`
	Issuer     string     `json:"issuer"`
	Email      string     `json:"email" doc:"His address there"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at" doc:"null: never"`
}

// OIDCLinkView is where the browser goes to link an other login.
type OIDCLinkView struct {
	URL string `json:"url" doc:"Works for a minute, in this browser"`
}

// Mount registers the operations of the other login.
func (s *Service) Mount(a *httpapi.API) {
	s.cookie = a.CookieName(flowCookie)
	op := func(id, method, path, summary string, rule access.Rule) httpapi.Operation {
		return httpapi.Operation{ID: id, Method: method, Path: path, Tag: "login", Access: rule, Summary: summary, Timeout: 4 * s.Timeout}
	}
	httpapi.Handle(a, op("get-oidc", http.MethodGet, "/api/v1/auth/oidc", "The other login (OpenID Connect)", access.Public()), s.get)
	start := op("start-oidc", http.MethodGet, startPath, "Begin the other login; browsers go there", access.Public())
	start.Params = []httpapi.Param{{Name: "next", Doc: "The page to go on to"}, {Name: "ticket", Doc: "Of a login that links: see POST /api/v1/me/oidc"}}
	httpapi.HandleRedirect(a, start, s.start)
	back := op("finish-oidc", http.MethodGet, callbackPath, "Where the provider sends the browser back to", access.Public())
	back.Params = []httpapi.Param{{Name: "code"}, {Name: "state"}, {Name: "error"}}
	httpapi.HandleRedirect(a, back, s.callback)
	httpapi.Handle(a, op("list-my-oidc", http.MethodGet, "/api/v1/me/oidc", "My other logins", access.LoggedIn()), s.getMine)
	httpapi.Handle(a, op("link-my-oidc", http.MethodPost, "/api/v1/me/oidc", "Link my account with the other login", access.LoggedIn()), s.postMine)
	httpapi.Handle(a, op("unlink-my-oidc", http.MethodDelete, "/api/v1/me/oidc/{id}", "Unlink it", access.LoggedIn()), s.deleteMine)
	s.mountSettings(a)
}

func (s *Service) get(ctx context.Context, _ *struct{}) (OIDCView, error) {
	button, err := s.Button(ctx)
	if err != nil || button == "" {
		return OIDCView{}, err
	}
	return OIDCView{Enabled: true, Button: button, Start: startPath}, nil
}

// stop sends a browser whose flow came to nothing back to a page that says why.
func (s *Service) stop(page string, err error) httpapi.Redirect {
	o := outcomeOf(err)
	if o == failed || o == unreachable {
		s.Log.Warn("a login by the other provider failed", "outcome", string(o), "error", short(err))
	}
	return httpapi.Redirect{To: page + "?problem=" + url.QueryEscape(string(o)), Cookies: []http.Cookie{{Name: flowCookie, MaxAge: -1}}}
}

func short(err error) string {
	const most = 500
	if text := err.Error(); len(text) > most {
		return text[:most]
	}
	return err.Error()
}

const (
	loginPage   = "/login"
	accountPage = "/account/security" // where other logins are linked
)

func (s *Service) start(ctx context.Context, r *httpapi.Request) (httpapi.Redirect, error) {
	var by ticket
	page, next := loginPage, r.Query("next")
	if text := r.Query("ticket"); text != "" {
		page, next = accountPage, accountPage+"?linked=oidc"
		err := s.unseal(ticketPurpose, text, &by)
		if err != nil || s.Now().UnixMilli() >= by.Until || !same(by.Session, csrfOf(ctx)) {
			return s.stop(page, refused(expired, problem.New(problem.Conflict, "the ticket is too old, or another browser's"))), nil
		}
	}
	to, cookie, err := s.begin(ctx, next, by)
	if err != nil {
		return s.stop(page, err), nil
	}
	return httpapi.Redirect{To: to, Cookies: []http.Cookie{{Name: flowCookie, Value: cookie, MaxAge: int(flowLife / time.Second)}}}, nil
}

// csrfOf names the browser's login; "" when there is none.
func csrfOf(ctx context.Context) string {
	text := httpapi.VisitOf(ctx).Session
	if text == "" {
		return ""
	}
	return httpapi.CSRF(text)
}

func (s *Service) callback(ctx context.Context, r *httpapi.Request) (httpapi.Redirect, error) {
	f, err := s.openFlow(r.Cookie(s.cookie), r.Query("state"))
	if err != nil {
		return s.stop(loginPage, err), nil
	}
	page := loginPage
	if f.Link != "" {
		page = accountPage
	}
	if said := r.Query("error"); said != "" {
		return s.stop(page, refused(denied, problem.New(problem.Conflict, "the provider says %.100q", said))), nil
	}
	c, p, err := s.exchange(ctx, f, r.Query("code"))
	if err != nil {
		return s.stop(page, err), nil
	}
	to := httpapi.Redirect{To: f.Next, Cookies: []http.Cookie{{Name: flowCookie, MaxAge: -1}}}
	if f.Link != "" {
		if err := s.finishLink(ctx, f, c); err != nil {
			return s.stop(page, err), nil
		}
		return to, nil
	}
	begun, err := s.enter(ctx, c, p.settings)
	if err != nil {
		return s.stop(page, err), nil
	}
	to.Session, to.Life = begun.Cookie, login.Life
	return to, nil
}

// finishLink links for the login that asked for it, if it is there still.
func (s *Service) finishLink(ctx context.Context, f flow, c claims) error {
	caller, err := s.Logins.Authenticate(ctx, httpapi.VisitOf(ctx).Session)
	if err != nil || caller.User != f.Link || !same(f.Session, csrfOf(ctx)) {
		return refused(expired, problem.New(problem.Conflict, "the login that asked for the link is over"))
	}
	caller.Address = access.From(ctx).Address
	return s.attach(ctx, c, caller)
}

func (s *Service) getMine(ctx context.Context, _ *struct{}) ([]OIDCIdentityView, error) {
	all, err := s.Identities(ctx)
	out := make([]OIDCIdentityView, len(all))
	for n, i := range all {
		out[n] = OIDCIdentityView{ID: i.ID(), Issuer: i.Issuer, Email: i.Email, CreatedAt: i.Created, LastUsedAt: i.LastUsed}
	}
	return out, err
}

func (s *Service) postMine(ctx context.Context, _ *struct{}) (OIDCLinkView, error) {
	c, err := s.Logins.CheckProof(ctx)
	if err != nil {
		return OIDCLinkView{}, err
	}
	if _, err := s.provider(ctx); err != nil {
		return OIDCLinkView{}, err
	}
	text, err := s.seal(ticketPurpose, ticket{User: c.User, Session: csrfOf(ctx), Until: s.Now().Add(ticketLife).UnixMilli()})
	return OIDCLinkView{URL: startPath + "?ticket=" + text}, err
}

func (s *Service) deleteMine(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"64"`
}) (httpapi.Done, error) {
	return httpapi.Did("the other login opens this account no more"), s.Unlink(ctx, in.ID)
}
