package invite

import (
	"context"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/login"
	"github.com/berth-panel/berth/shared/ident"
)

// InviteBody says how an invitation goes out.
type InviteBody struct {
	ByHand bool `json:"by_hand,omitempty" doc:"Give the link here, even when it could be mailed"`
}

// InviteView is an invitation that went out.
type InviteView struct {
	Mailed    bool      `json:"mailed" doc:"It was mailed; else link is to be handed over"`
	Link      string    `json:"link,omitempty" doc:"Works once. It is shown only here"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Message says what to do with it.
func (v InviteView) Message() string {
	if v.Link == "" {
		return "the mail is on its way"
	}
	return "hand the link over: it can't be shown again"
}

// ForgotBody asks for a new password.
type ForgotBody struct {
	Email string `json:"email" minLength:"3" maxLength:"254"`
}

// LinkLookBody asks what a link is for.
type LinkLookBody struct {
	Token string `json:"token" minLength:"1" maxLength:"100" doc:"What stands behind the # of the link"`
}

// LinkView is a link that works.
type LinkView struct {
	Purpose   Purpose   `json:"purpose" enum:"invite,reset,email" doc:"invite: the first password. reset: another password. email: another address"`
	Username  string    `json:"username"`
	Email     string    `json:"email" doc:"The account's address; with email the new one"`
	Password  bool      `json:"password" doc:"Using it takes a password"`
	ExpiresAt time.Time `json:"expires_at"`
}

// LinkUseBody uses a link.
type LinkUseBody struct {
	Token    string `json:"token" minLength:"1" maxLength:"100" doc:"What stands behind the # of the link"`
	Password string `json:"password,omitempty" maxLength:"1024" doc:"The new one, at least 8 bytes; for links that take one"`
}

// LinkUsedView is what using a link came to.
type LinkUsedView struct {
	Purpose      Purpose `json:"purpose" enum:"invite,reset,email"`
	Username     string  `json:"username"`
	LoggedIn     bool    `json:"logged_in" doc:"He is logged in now, by the cookie that came along"`
	SecondFactor bool    `json:"second_factor" doc:"He must log in, with his password and his second factor"`
	CSRF         string  `json:"csrf,omitempty" doc:"For the header X-Csrf-Token of the calls that follow"`

	cookie string
}

// SessionCookie is the login that began; where none did, the browser keeps what it has.
func (v LinkUsedView) SessionCookie() (string, time.Duration) {
	if v.cookie == "" {
		return "", httpapi.KeepCookie
	}
	return v.cookie, login.Life
}

const hashTimeout = 90 * time.Second // passwords are hashed two at a time

// Mount registers the operations of links.
func (s *Service) Mount(a *httpapi.API) {
	httpapi.Handle(a, httpapi.Operation{ID: "invite-user", Method: http.MethodPost, Path: "/api/v1/users/{id}/invite", Tag: "users",
		Access: access.Permits(access.WriteUsers), Summary: "Let a user choose his password",
		Description: "Mails him a one-time link, or gives it when no mail server is set. For who has a password already it is a link for another one."}, s.postInvite)
	public := func(id, path, summary string) httpapi.Operation {
		return httpapi.Operation{ID: id, Method: http.MethodPost, Path: "/api/v1/" + path, Tag: "login", Access: access.Public(), SameOrigin: true,
			Summary: summary, BodyLimit: 8 << 10}
	}
	forgot := public("forgot-password", "forgot", "Ask for a link for a new password")
	forgot.Description = "The answer is the same whether there is such an account or not."
	httpapi.Handle(a, forgot, s.postForgot)
	httpapi.Handle(a, public("look-at-link", "links/look", "What a one-time link is for"), s.postLook)
	use := public("use-link", "links/use", "Use a one-time link")
	use.Timeout = hashTimeout
	httpapi.Handle(a, use, s.postUse)
}

func (s *Service) postInvite(ctx context.Context, in *struct {
	ID   ident.User `path:"id"`
	Body *InviteBody
}) (InviteView, error) {
	sent, err := s.Invite(ctx, in.ID, in.Body != nil && in.Body.ByHand)
	return InviteView{Mailed: sent.Mailed, Link: sent.Link, ExpiresAt: sent.Expires}, err
}

func (s *Service) postForgot(ctx context.Context, in *struct{ Body ForgotBody }) (httpapi.Done, error) {
	return httpapi.Did("if there is an account with this address, a mail is on its way"), s.Forgot(ctx, access.From(ctx).Address, in.Body.Email)
}

func (s *Service) postLook(ctx context.Context, in *struct{ Body LinkLookBody }) (LinkView, error) {
	l, u, err := s.Look(ctx, in.Body.Token)
	if err != nil {
		return LinkView{}, err
	}
	v := LinkView{Purpose: l.Purpose, Username: u.Username, Email: u.Email, Password: l.Purpose.setsPassword(), ExpiresAt: l.Expires}
	if l.Purpose == NewEmail {
		v.Email = l.Email
	}
	return v, nil
}

func (s *Service) postUse(ctx context.Context, in *struct{ Body LinkUseBody }) (LinkUsedView, error) {
	e, err := s.Use(ctx, access.From(ctx).Address, in.Body.Token, in.Body.Password)
	v := LinkUsedView{Purpose: e.Purpose, Username: e.User.Username, LoggedIn: e.Cookie != "", SecondFactor: e.SecondFactor, cookie: e.Cookie}
	if e.Cookie != "" {
		v.CSRF = httpapi.CSRF(e.Cookie)
	}
	return v, err
}
