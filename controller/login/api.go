package login

import (
	"context"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/shared/ident"
)

// LoginBody is a try to log in.
type LoginBody struct {
	Name         string `json:"name" minLength:"1" maxLength:"254" doc:"Username or email"`
	Password     string `json:"password" minLength:"1" maxLength:"1024"`
	Code         string `json:"code,omitempty" maxLength:"16" doc:"Of the authenticator app"`
	RecoveryCode string `json:"recovery_code,omitempty" maxLength:"40" doc:"Instead of a code, each once"`
}

// SecondFactorsView is what a user has besides his password.
type SecondFactorsView struct {
	TOTP          bool `json:"totp" doc:"An authenticator app is in use"`
	Passkeys      int  `json:"passkeys"`
	RecoveryCodes int  `json:"recovery_codes" doc:"That are left"`
}

// LoggedInView is who is logged in, and what his page shows to change anything.
type LoggedInView struct {
	identity.MeView
	CSRF         string            `json:"csrf" doc:"For the header X-Csrf-Token of every call other than GET"`
	Session      LoginSessionView  `json:"session"`
	SecondFactor SecondFactorsView `json:"second_factor"`
	Locale       string            `json:"locale" doc:"Of mails and pages; empty: the browser's"`
	ProvedUntil  time.Time         `json:"proved_until" doc:"What changes how one logs in needs a proof from then on: POST /me/prove"`
	LastEvent    int64             `json:"last_event" doc:"The number of the last event there was: GET /live?after= of it tells all that changes in what is asked for from now on"`

	cookie string
}

// SessionCookie is httpapi.SessionOutput's: a login sets it.
func (v LoggedInView) SessionCookie() (string, time.Duration) {
	if v.cookie == "" {
		return "", httpapi.KeepCookie
	}
	return v.cookie, Life
}

// LoginSessionView is a login.
type LoginSessionView struct {
	ID         ident.Session `json:"id"`
	Current    bool          `json:"current" doc:"The one of this call"`
	Means      Means         `json:"means" enum:"password,passkey,oidc,link"`
	Address    string        `json:"address" doc:"Where it began"`
	Browser    string        `json:"browser" doc:"As the browser calls itself (User-Agent)"`
	CreatedAt  time.Time     `json:"created_at"`
	LastSeenAt time.Time     `json:"last_seen_at" doc:"Up to half a minute late"`
	ExpiresAt  time.Time     `json:"expires_at" doc:"Whatever happens; two weeks after its last use in any case"`
}

func viewSession(s Session, current ident.Session) LoginSessionView {
	return LoginSessionView{
		ID: s.ID, Current: s.ID == current, Means: s.Means, Address: s.Address, Browser: s.Browser,
		CreatedAt: s.Created, LastSeenAt: s.LastSeen, ExpiresAt: s.Expires,
	}
}

// LoggedOutView is the end of a login.
type LoggedOutView struct{}

// SessionCookie takes the cookie away.
func (LoggedOutView) SessionCookie() (string, time.Duration) { return "", 0 }

// Message is httpapi.Messenger's.
func (LoggedOutView) Message() string { return "you are logged out" }

// MeUpdateBody changes the caller's own account; what is left out stays.
type MeUpdateBody struct {
	Username *string `json:"username,omitempty" minLength:"1" maxLength:"64"`
	Email    *string `json:"email,omitempty" minLength:"3" maxLength:"254" doc:"Needs a fresh proof, for it is where a forgotten password's link goes. Where mails can be sent it changes by a link that is mailed there, and the answer still has the old one"`
	Locale   *string `json:"locale,omitempty" maxLength:"16" pattern:"^([a-z]{2,3}(-[A-Za-z0-9]{2,8})*)?$" doc:"Of mails and pages, such as de; empty: the browser's"`
}

// MePasswordBody gives the caller another password.
type MePasswordBody struct {
	Password    string `json:"password,omitempty" maxLength:"1024" doc:"The present one; not needed after a fresh proof, and not enough where a second factor is"`
	NewPassword string `json:"new_password" minLength:"8" maxLength:"1024"`
}

type sessionPath struct {
	ID ident.Session `path:"id"`
}

const hashTimeout = 90 * time.Second // passwords are hashed two at a time

// Mount puts this room's operations on the API.
func (s *Service) Mount(a *httpapi.API) {
	s.registerLogins(a)
	s.registerMe(a)
	s.registerFactors(a)
	s.registerPasskeys(a)
}

func op(id, method, path, summary string, rule access.Rule) httpapi.Operation {
	return httpapi.Operation{ID: id, Method: method, Path: "/api/v1" + path, Summary: summary, Access: rule, Tag: "login"}
}

// public is an operation for who isn't logged in yet.
func public(id, path, summary string) httpapi.Operation {
	o := op(id, http.MethodPost, path, summary, access.Public())
	o.SameOrigin, o.Timeout, o.BodyLimit = true, hashTimeout, 64<<10
	return o
}

func (s *Service) registerLogins(a *httpapi.API) {
	login := public("login", "/login", "Log in to the panel")
	login.Description = "Sets the panel's cookie. 401 whose details name `second_factor` (`totp`, `recovery`, `passkey`) says that the password was right and what else is needed: " +
		"the same call again with `code` or `recovery_code`, or a passkey's login."
	httpapi.Handle(a, login, s.postLogin)
	httpapi.Handle(a, op("logout", http.MethodPost, "/logout", "Log out of the panel", access.LoggedIn()), s.postLogout)
	httpapi.Handle(a, op("get-session", http.MethodGet, "/session", "Who is logged in", access.LoggedIn()), s.getSession)
	httpapi.Handle(a, public("begin-passkey-login", "/login/passkey/begin", "A challenge to log in by a passkey"), s.postPasskeyLoginBegin)
	httpapi.Handle(a, public("finish-passkey-login", "/login/passkey/finish", "Log in by a passkey's answer"), s.postPasskeyLogin)
}

func (s *Service) registerMe(a *httpapi.API) {
	httpapi.Handle(a, op("list-sessions", http.MethodGet, "/me/sessions", "Where one is logged in", access.LoggedIn()), s.getSessions)
	httpapi.Handle(a, op("end-session", http.MethodDelete, "/me/sessions/{id}", "End a login", access.LoggedIn()), s.deleteSession)
	httpapi.Handle(a, op("end-other-sessions", http.MethodDelete, "/me/sessions", "End all logins but this one", access.LoggedIn()), s.deleteSessions)
	httpapi.Handle(a, op("update-me", http.MethodPatch, "/me", "Change one's own account", access.LoggedIn()), s.patchMe)
	password := op("set-my-password", http.MethodPost, "/me/password", "Choose another password: all other logins end", access.LoggedIn())
	password.Timeout = hashTimeout
	httpapi.Handle(a, password, s.postPassword)
}

func (s *Service) postLogin(ctx context.Context, in *struct{ Body LoginBody }) (LoggedInView, error) {
	b, err := s.Login(ctx, Attempt(in.Body))
	return s.welcome(ctx, b, err)
}

// welcome is what a login is answered with.
func (s *Service) welcome(ctx context.Context, b Begun, err error) (LoggedInView, error) {
	if err != nil {
		return LoggedInView{}, err
	}
	c, err := s.recall(ctx, b.Session, access.Caller{Actor: access.Actor{Address: b.Address}})
	if err != nil {
		return LoggedInView{}, err
	}
	view, err := s.view(access.With(ctx, c), b.Session, b.Cookie)
	view.cookie = b.Cookie
	return view, err
}

// view shows who is logged in.
func (s *Service) view(ctx context.Context, session Session, cookie string) (LoggedInView, error) {
	_, last, err := s.Events.Bounds(ctx, s.DB.Snapshot()) // before all that is shown
	if err != nil {
		return LoggedInView{}, err
	}
	me, err := s.Users.Me(ctx)
	if err != nil {
		return LoggedInView{}, err
	}
	locale, err := identity.LocaleOf(ctx, s.DB.Snapshot(), session.User)
	if err != nil {
		return LoggedInView{}, err
	}
	f, err := factorsOf(ctx, s.DB.Snapshot(), session.User)
	return LoggedInView{
		MeView: me, Locale: locale, CSRF: httpapi.CSRF(cookie), Session: viewSession(session, session.ID), SecondFactor: SecondFactorsView(f),
		ProvedUntil: session.Proved.Add(ProofLife), LastEvent: last,
	}, err
}

func (s *Service) postLogout(ctx context.Context, _ *struct{}) (LoggedOutView, error) {
	return LoggedOutView{}, s.Logout(ctx)
}

func (s *Service) getSession(ctx context.Context, _ *struct{}) (LoggedInView, error) {
	c, err := caller(ctx)
	if err != nil {
		return LoggedInView{}, err
	}
	session, err := findSession(ctx, s.DB.Snapshot(), c.User, c.Session)
	if err != nil {
		return LoggedInView{}, err
	}
	return s.view(ctx, session, httpapi.VisitOf(ctx).Session)
}

func (s *Service) getSessions(ctx context.Context, _ *struct{}) ([]LoginSessionView, error) {
	list, err := s.Sessions(ctx)
	out := make([]LoginSessionView, len(list))
	for n, one := range list {
		out[n] = viewSession(one, access.From(ctx).Session)
	}
	return out, err
}

func (s *Service) deleteSession(ctx context.Context, in *sessionPath) (httpapi.Done, error) {
	return httpapi.Did("the login is ended"), s.End(ctx, in.ID)
}

func (s *Service) deleteSessions(ctx context.Context, _ *struct{}) (httpapi.Done, error) {
	return httpapi.Did("all other logins are ended"), s.EndOthers(ctx)
}

func (s *Service) postPassword(ctx context.Context, in *struct{ Body MePasswordBody }) (httpapi.Done, error) {
	return httpapi.Did("the password is set; all other logins are ended"), s.SetPassword(ctx, in.Body.Password, in.Body.NewPassword)
}

func (s *Service) patchMe(ctx context.Context, in *struct{ Body MeUpdateBody }) (LoggedInView, error) {
	if err := s.UpdateMe(ctx, in.Body); err != nil {
		return LoggedInView{}, err
	}
	return s.getSession(ctx, nil)
}
