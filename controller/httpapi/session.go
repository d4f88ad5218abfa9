package httpapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/shared/problem"
)

// What the panel's cookie is called; with https with the prefix by which browsers
// take it from this very host over https alone.
const (
	cookieName   = "berth_session"
	markName     = "berth_logged_in" // pages may read it
	cookiePrefix = "__Host-"
	csrfHeader   = "X-Csrf-Token"
	maxCookie    = 128 // bytes; ours are shorter
	maxBrowser   = 200
)

// CSRF is what a page shows with each call that changes something, to say that
// it is a page of ours: it is made of the cookie's text, which no page can read,
// and no way leads back.
func CSRF(session string) string {
	sum := sha256.Sum256([]byte("csrf of " + session))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// site is where browsers find the panel.
type site struct {
	scheme, host string // "" when nobody knows
	cookie       string // name of the panel's
}

func newSite(public string) (site, error) {
	if public == "" {
		return site{cookie: cookieName}, nil
	}
	u, err := url.Parse(public)
	if err != nil || u.Host == "" {
		return site{}, fmt.Errorf("httpapi: the public URL %q is none", public)
	}
	s := site{scheme: strings.ToLower(u.Scheme), host: withoutPort(strings.ToLower(u.Host), u.Scheme), cookie: cookieName}
	if s.secure() {
		s.cookie = cookiePrefix + cookieName
	}
	return s, nil
}

func (s site) secure() bool { return s.scheme == "https" }

// withoutPort leaves the port out where it is the scheme's own, as browsers do.
func withoutPort(host, scheme string) string {
	name, port, err := net.SplitHostPort(host)
	if err != nil || (scheme != "https" || port != "443") && (scheme != "http" || port != "80") {
		return host
	}
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}

// owns says whether the origin that a browser names is the panel's: where it is
// configured to be, or the very host that was called. What a proxy calls us by is
// no origin of anybody's pages, so both are safe.
func (s site) owns(origin, called string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return false
	}
	host := withoutPort(strings.ToLower(u.Host), u.Scheme)
	if host == s.host {
		return u.Scheme == s.scheme
	}
	return host == withoutPort(strings.ToLower(called), u.Scheme)
}

// Cookie is the panel's cookie with that text as a header Set-Cookie has it; ""
// takes it away.
func (a *API) Cookie(text string, life time.Duration) string {
	c := http.Cookie{Name: a.site.cookie, Value: text, Path: "/", MaxAge: int(life / time.Second), HttpOnly: true, Secure: a.site.secure(), SameSite: http.SameSiteLaxMode}
	if text == "" {
		c.MaxAge = -1
	}
	return c.String()
}

// loginCookies is the panel's cookie and beside it a mark without any secret, which
// tells the pages whether it is worth asking for the session: they can't read the
// cookie itself.
func (a *API) loginCookies(text string, life time.Duration) [2]string {
	mark := http.Cookie{Name: a.CookieName(markName), Value: "1", Path: "/", MaxAge: int(life / time.Second), Secure: a.site.secure(), SameSite: http.SameSiteLaxMode}
	if text == "" {
		mark.Value, mark.MaxAge = "", -1
	}
	return [2]string{a.Cookie(text, life), mark.String()}
}

// KeepCookie as the life of a SessionOutput's cookie leaves the browser what it has.
const KeepCookie time.Duration = -1

// SessionOutput is an output that logs somebody in to the panel, or out of it
// with the text "". The text goes into the cookie.
type SessionOutput interface {
	SessionCookie() (text string, life time.Duration)
}

// Visit is what is told of where a call comes from.
type Visit struct {
	Browser string // User-Agent, shortened
	Session string // the text of the panel's cookie
}

// VisitOf gives the visit that ctx belongs to: of public routes, and of calls
// with the panel's cookie. The address is the caller's (access.From).
func VisitOf(ctx context.Context) Visit {
	if k, ok := ctx.Value(callKey{}).(*scope); ok {
		return k.visit
	}
	return Visit{}
}

func (k *call) visit() Visit {
	if !k.route.Access.IsPublic() && k.session == "" {
		return Visit{}
	}
	browser := strings.ToValidUTF8(string(k.http.Request.Header.UserAgent()), "")
	if len(browser) > maxBrowser {
		browser = strings.ToValidUTF8(browser[:maxBrowser], "")
	}
	return Visit{Browser: browser, Session: k.cookie()}
}

// cookie is the text of the panel's cookie; "" where it counts for nothing.
func (k *call) cookie() string {
	if k.api.cfg.Sessions == nil || k.route.AnyOrigin || k.door.local {
		return ""
	}
	text := k.http.Request.Header.Cookie(k.api.site.cookie)
	if len(text) > maxCookie {
		return ""
	}
	return string(text)
}

// Cookie gives a cookie of the call by its name; "" for none.
func (r *Request) Cookie(name string) string { return string(r.call.http.Request.Header.Cookie(name)) }

// bySession finds out who is logged in, and that it is a page of ours that calls.
// What a wrong cookie asks for is counted by address: nobody guesses 256 bits, but
// looking costs.
func (k *call) bySession(ctx context.Context, text string) error {
	if err := k.ownPage(text); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	caller, err := k.api.cfg.Sessions.Authenticate(ctx, text)
	cancel()
	if err != nil {
		if problem.Is(err, problem.Unauthorized) {
			if over := k.count("address "+network(k.address), k.api.cfg.RateLimit*publicFactor, false); over != nil {
				return over
			}
		}
		return err
	}
	k.caller, k.session = caller, text
	k.caller.Address = k.address
	return nil
}

// ownPage refuses what the panel's cookie comes with by itself: a browser sends it
// whoever's page makes the call.
func (k *call) ownPage(text string) error {
	h := &k.http.Request.Header
	if k.route.socket { // there is no token in its call
		if !k.api.site.owns(string(h.Peek("Origin")), string(k.http.Host())) {
			return problem.New(problem.Forbidden, "a page of another origin can't open this")
		}
		return nil
	}
	if k.isSafe() {
		return nil
	}
	if err := k.ownOrigin(); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(h.Peek(csrfHeader), []byte(CSRF(text))) != 1 {
		return problem.New(problem.Forbidden, "this call lacks the header %s, or it belongs to another login: GET /api/v1/session gives it", csrfHeader)
	}
	return nil
}

// checkOrigin is for public routes that ask for it.
func (k *call) checkOrigin() error {
	if !k.route.SameOrigin || k.isSafe() {
		return nil
	}
	return k.ownOrigin()
}

// ownOrigin refuses calls that a browser says come from a page of another origin.
// What isn't a browser says nothing of it.
func (k *call) ownOrigin() error {
	h := &k.http.Request.Header
	site, origin := string(h.Peek("Sec-Fetch-Site")), string(h.Peek("Origin"))
	if (site == "" || site == "same-origin" || site == "none") && (origin == "" || k.api.site.owns(origin, string(k.http.Host()))) {
		return nil
	}
	return problem.New(problem.Forbidden, "a page of another origin can't do this; is the panel's address the one that --public-url names?")
}

func (k *call) isSafe() bool {
	return k.method == http.MethodGet || k.method == http.MethodHead || k.method == http.MethodOptions
}

// credential is what a stream or a socket came in with, to ask again.
type credential struct{ key, session, address string }

// stillAllowed asks again for a key or a login and its rights: when it is revoked,
// its streams end. A stream goes on as the caller that it began as, and so ends too
// when he may do something else by now; a socket looks to that itself, and has nil.
func (a *API) stillAllowed(ctx context.Context, c credential, rule access.Rule, began *access.Caller) bool {
	var caller access.Caller
	var err error
	ctx = cameFrom(ctx, c.address)
	switch {
	case c.session != "":
		caller, err = a.cfg.Sessions.Authenticate(ctx, c.session)
	case c.key != "":
		caller, err = a.cfg.Authenticator.Authenticate(ctx, c.key)
	default:
		return true
	}
	if err != nil {
		return !problem.Is(err, problem.Unauthorized)
	}
	return rule.Check(caller) == nil && (began == nil || began.SameRights(caller))
}

// streamer is whom a stream is counted under.
func streamer(c access.Caller) string {
	return string(c.Via) + " " + string(c.Key) + string(c.Session)
}

// strict tells browsers that came by https to come by nothing else.
func (k *call) strict(r *fasthttp.Response) {
	if k.api.cfg.HSTS && k.secure {
		r.Header.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// TooMany refuses a call for a while: 429 with Retry-After.
func TooMany(wait time.Duration, text string) error {
	return &refusal{Problem: problem.New(problem.RateLimited, "%s; wait %s", text, max(time.Second, wait.Round(time.Second))), wait: wait}
}
