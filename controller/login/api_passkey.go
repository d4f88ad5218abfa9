package login

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
)

// PasskeyChallengeView is what a browser is asked to answer.
type PasskeyChallengeView struct {
	Ceremony string          `json:"ceremony" doc:"To be sent with the answer, once, within five minutes"`
	Options  json.RawMessage `json:"options" doc:"For PublicKeyCredential.parseRequestOptionsFromJSON or parseCreationOptionsFromJSON"`
}

// PasskeyAnswer is a browser's answer.
type PasskeyAnswer struct {
	Ceremony string          `json:"ceremony" minLength:"1" maxLength:"64"`
	Response json.RawMessage `json:"response" doc:"What PublicKeyCredential.toJSON gives"`
}

func (a PasskeyAnswer) answer() Answer { return Answer(a) }

// PasskeyAddBody keeps a passkey.
type PasskeyAddBody struct {
	PasskeyAnswer
	Name string `json:"name" minLength:"1" maxLength:"100" doc:"To tell it from others"`
}

// PasskeyView is a passkey.
type PasskeyView struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at" doc:"null: never"`
}

func viewPasskey(p Passkey) PasskeyView {
	return PasskeyView{ID: p.ID, Name: p.Name, CreatedAt: p.Created, LastUsedAt: p.LastUsed}
}

// PasskeyAddedView is a new passkey, with recovery codes when it is the first
// second factor.
type PasskeyAddedView struct {
	PasskeyView
	RecoveryCodesView
}

// Redacted leaves the codes out.
func (v PasskeyAddedView) Redacted() any {
	return PasskeyAddedView{PasskeyView: v.PasskeyView, RecoveryCodesView: viewCodes(nil)}
}

// PasskeyRenameBody calls a passkey something else.
type PasskeyRenameBody struct {
	Name string `json:"name" minLength:"1" maxLength:"100"`
}

type passkeyPath struct {
	ID string `path:"id"`
}

func viewChallenge(c Challenge, err error) (PasskeyChallengeView, error) {
	return PasskeyChallengeView(c), err
}

func (s *Service) registerPasskeys(a *httpapi.API) {
	httpapi.Handle(a, op("list-passkeys", http.MethodGet, "/me/passkeys", "One's passkeys", access.LoggedIn()), s.getPasskeys)
	httpapi.Handle(a, op("begin-passkey", http.MethodPost, "/me/passkeys/begin", "A challenge for a new passkey", access.LoggedIn()), s.postPasskeyBegin)
	add := op("add-passkey", http.MethodPost, "/me/passkeys/finish", "Keep a new passkey", access.LoggedIn())
	add.Status = http.StatusCreated
	httpapi.Handle(a, add, s.postPasskey)
	httpapi.Handle(a, op("rename-passkey", http.MethodPatch, "/me/passkeys/{id}", "Rename a passkey", access.LoggedIn()), s.patchPasskey)
	httpapi.Handle(a, op("remove-passkey", http.MethodDelete, "/me/passkeys/{id}", "Take a passkey out of use", access.LoggedIn()), s.deletePasskey)
}

func (s *Service) postPasskeyLoginBegin(ctx context.Context, _ *struct{}) (PasskeyChallengeView, error) {
	return viewChallenge(s.BeginPasskeyLogin(ctx))
}

func (s *Service) postPasskeyLogin(ctx context.Context, in *struct{ Body PasskeyAnswer }) (LoggedInView, error) {
	b, err := s.PasskeyLogin(ctx, in.Body.answer())
	return s.welcome(ctx, b, err)
}

func (s *Service) getPasskeys(ctx context.Context, _ *struct{}) ([]PasskeyView, error) {
	list, err := s.Passkeys(ctx)
	out := make([]PasskeyView, len(list))
	for n, p := range list {
		out[n] = viewPasskey(p)
	}
	return out, err
}

func (s *Service) postPasskeyBegin(ctx context.Context, _ *struct{}) (PasskeyChallengeView, error) {
	return viewChallenge(s.BeginPasskey(ctx))
}

func (s *Service) postPasskey(ctx context.Context, in *struct{ Body PasskeyAddBody }) (PasskeyAddedView, error) {
	p, codes, err := s.AddPasskey(ctx, in.Body.answer(), in.Body.Name)
	return PasskeyAddedView{viewPasskey(p), viewCodes(codes)}, err
}

func (s *Service) patchPasskey(ctx context.Context, in *struct {
	ID   string `path:"id"`
	Body PasskeyRenameBody
}) (PasskeyView, error) {
	p, err := s.RenamePasskey(ctx, in.ID, in.Body.Name)
	return viewPasskey(p), err
}

func (s *Service) deletePasskey(ctx context.Context, in *passkeyPath) (httpapi.Done, error) {
	return httpapi.Did("the passkey is out of use"), s.RemovePasskey(ctx, in.ID)
}
