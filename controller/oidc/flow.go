package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	flowLife   = 10 * time.Minute
	ticketLife = time.Minute
	maxNext    = 300

	flowPurpose   = "oidc flow"
	ticketPurpose = "oidc link"
)

// flow is what a browser carries from the start to the callback, sealed.
type flow struct {
	State    string     `json:"s"`
	Nonce    string     `json:"n"`
	Verifier string     `json:"v"`
	Issuer   string     `json:"i"`
	Client   string     `json:"c"`
	Next     string     `json:"x"`
	Until    int64      `json:"u"` // milliseconds
	Link     ident.User `json:"l,omitempty"`
	Session  string     `json:"t,omitempty"` // with Link: the CSRF of the login that asked for it
}

// ticket lets the browser of a login begin a flow that links.
type ticket struct {
	User    ident.User `json:"u"`
	Session string     `json:"s"`
	Until   int64      `json:"t"`
}

func (s *Service) seal(purpose string, v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("seal what a login must remember: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(s.Box.Seal(purpose, plain)), nil
}

func (s *Service) unseal(purpose, text string, v any) error {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	plain, err := s.Box.Open(purpose, sealed)
	if err != nil {
		return err
	}
	return json.Unmarshal(plain, v)
}

func random() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails: crypto/rand aborts the process instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// same compares without telling by the time it takes where two differ.
func same(a, b string) bool { return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// pathOf gives where to go on: a path of the panel, or its front page. Anything
// that a browser might take for another host is none.
func pathOf(next string) string {
	u, err := url.Parse(next)
	if err != nil || len(next) > maxNext || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") ||
		strings.ContainsFunc(next, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' }) {
		return "/"
	}
	return next
}

// begin makes a flow and where its browser goes.
func (s *Service) begin(ctx context.Context, next string, by ticket) (to, cookie string, err error) {
	p, err := s.provider(ctx)
	if err != nil {
		return "", "", err
	}
	f := flow{
		State: random(), Nonce: random(), Verifier: oauth2.GenerateVerifier(), Issuer: p.settings.Issuer, Client: p.settings.ClientID,
		Next: pathOf(next), Until: s.Now().Add(flowLife).UnixMilli(), Link: by.User, Session: by.Session,
	}
	if cookie, err = s.seal(flowPurpose, f); err != nil {
		return "", "", err
	}
	return p.oauth.AuthCodeURL(f.State, gooidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), cookie, nil
}

// openFlow gives the flow that a callback belongs to.
func (s *Service) openFlow(cookie, state string) (flow, error) {
	var f flow
	if err := s.unseal(flowPurpose, cookie, &f); err != nil {
		return flow{}, refused(expired, err)
	}
	if !same(f.State, state) || s.Now().UnixMilli() >= f.Until {
		return flow{}, refused(expired, errors.New("the state is another one, or too old"))
	}
	return f, nil
}

// claims are what a provider says of somebody.
type claims struct {
	Issuer, Subject string
	Email           string
	Verified        bool
	Name            string
	Groups          []string
}

// exchange turns a code into claims that were checked.
func (s *Service) exchange(ctx context.Context, f flow, code string) (claims, *provider, error) {
	p, err := s.provider(ctx)
	if err != nil {
		return claims{}, nil, refused(unreachable, err)
	}
	if p.settings.Issuer != f.Issuer || p.settings.ClientID != f.Client {
		return claims{}, nil, refused(expired, errors.New("the provider was changed meanwhile"))
	}
	ctx, cancel := context.WithTimeout(gooidc.ClientContext(ctx, s.client()), 2*s.Timeout)
	defer cancel()
	tokens, err := p.oauth.Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return claims{}, nil, refused(failed, err)
	}
	raw, ok := tokens.Extra("id_token").(string)
	if !ok {
		return claims{}, nil, refused(failed, errors.New("the provider gave no ID token"))
	}
	token, err := p.verifier.Verify(ctx, raw)
	if err != nil {
		return claims{}, nil, refused(failed, err)
	}
	if !same(token.Nonce, f.Nonce) {
		return claims{}, nil, refused(failed, errors.New("the ID token is of another flow"))
	}
	c, err := read(token.Claims, p.settings)
	if err != nil {
		return claims{}, nil, refused(failed, err)
	}
	c.Issuer, c.Subject = token.Issuer, token.Subject
	if c.Email == "" && p.UserInfoEndpoint() != "" {
		err = p.complete(ctx, tokens, &c)
	}
	return c, p, err
}

// complete asks the provider for what the ID token doesn't say.
func (p *provider) complete(ctx context.Context, tokens *oauth2.Token, c *claims) error {
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil {
		return refused(failed, err)
	}
	if info.Subject != c.Subject {
		return refused(failed, errors.New("the provider tells of somebody else"))
	}
	more, err := read(info.Claims, p.settings)
	if err != nil {
		return refused(failed, err)
	}
	c.Email, c.Verified = more.Email, more.Verified
	if c.Name == "" {
		c.Name = more.Name
	}
	if len(c.Groups) == 0 {
		c.Groups = more.Groups
	}
	return nil
}

func read(from func(any) error, set Settings) (claims, error) {
	var all map[string]any
	if err := from(&all); err != nil {
		return claims{}, err
	}
	text := func(name string) string { s, _ := all[name].(string); return strings.TrimSpace(s) }
	c := claims{Email: text("email"), Name: text("preferred_username")}
	if c.Name == "" {
		c.Name = text("nickname")
	}
	// Some providers write it as a text.
	c.Verified = all["email_verified"] == true || all["email_verified"] == "true"
	if parties, several := all["aud"].([]any); several && len(parties) > 1 && text("azp") != set.ClientID {
		return claims{}, errors.New("the ID token was made for another client")
	}
	switch groups := all[set.GroupClaim].(type) {
	case string:
		c.Groups = []string{groups}
	case []any:
		for _, g := range groups {
			if name, ok := g.(string); ok {
				c.Groups = append(c.Groups, name)
			}
		}
	}
	return c, nil
}

// outcome is what the login page is told of a login that came to nothing.
type outcome string

const (
	denied      outcome = "oidc_denied"      // the provider, or he himself, said no
	expired     outcome = "oidc_expired"     // too late, or begun in another browser
	unverified  outcome = "oidc_unverified"  // the provider didn't verify his address
	unknown     outcome = "oidc_unknown"     // nobody has this login, and none is made
	linkFirst   outcome = "oidc_link_first"  // there is an account with his address: he links it himself
	taken       outcome = "oidc_taken"       // it belongs to another account
	disabled    outcome = "oidc_disabled"    // the account is
	unreachable outcome = "oidc_unreachable" // none is set, or it doesn't answer
	failed      outcome = "oidc_failed"      // what it said was wrong; the log has why
)

// refusal is a flow that ends on a page.
type refusal struct {
	outcome
	cause error
}

// Error is for the log.
func (r refusal) Error() string { return string(r.outcome) + ": " + r.cause.Error() }

// Unwrap gives what was wrong.
func (r refusal) Unwrap() error { return r.cause }

func refused(o outcome, cause error) error { return refusal{o, cause} }

// outcomeOf names what went wrong, for the page.
func outcomeOf(err error) outcome {
	var r refusal
	switch {
	case errors.As(err, &r):
		return r.outcome
	case problem.Is(err, problem.Conflict):
		return unreachable
	default:
		return failed
	}
}
