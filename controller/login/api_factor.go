package login

import (
	"context"
	"net/http"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/shared/ident"
)

// ProveBody shows a password once more.
type ProveBody struct {
	Password     string         `json:"password,omitempty" maxLength:"1024"`
	Code         string         `json:"code,omitempty" maxLength:"16" doc:"Of the authenticator app, with the password, where there is one"`
	RecoveryCode string         `json:"recovery_code,omitempty" maxLength:"64" doc:"Instead of the code"`
	Passkey      *PasskeyAnswer `json:"passkey,omitempty" doc:"Instead of the password: the answer to POST /me/prove/passkey"`
}

// TOTPSetupView is a secret on its way to an authenticator app.
type TOTPSetupView struct {
	Secret string `json:"secret" doc:"Base32, to be typed"`
	URI    string `json:"uri" doc:"otpauth://…, for a QR code"`
}

// Redacted leaves the secret out.
func (TOTPSetupView) Redacted() any { return TOTPSetupView{} }

// TOTPConfirmBody takes the app into use.
type TOTPConfirmBody struct {
	Code string `json:"code" minLength:"6" maxLength:"16" doc:"That the app shows"`
}

// RecoveryCodesView is recovery codes, this once.
type RecoveryCodesView struct {
	RecoveryCodes []string `json:"recovery_codes" doc:"Each logs in once. They are shown only here; empty when there were some already"`
}

// Redacted leaves the codes out.
func (RecoveryCodesView) Redacted() any { return RecoveryCodesView{RecoveryCodes: []string{}} }

func viewCodes(codes []string) RecoveryCodesView {
	if codes == nil {
		codes = []string{}
	}
	return RecoveryCodesView{codes}
}

type userPath struct {
	ID ident.User `path:"id"`
}

func (s *Service) registerFactors(a *httpapi.API) {
	prove := op("prove", http.MethodPost, "/me/prove", "Show once more who one is, for ten minutes", access.LoggedIn())
	prove.Timeout = hashTimeout
	httpapi.Handle(a, prove, s.postProve)
	httpapi.Handle(a, op("begin-proof", http.MethodPost, "/me/prove/passkey", "A challenge to prove it by a passkey", access.LoggedIn()), s.postProveBegin)
	httpapi.Handle(a, op("begin-totp", http.MethodPost, "/me/totp/begin", "A secret for an authenticator app", access.LoggedIn()), s.postTOTPBegin)
	httpapi.Handle(a, op("confirm-totp", http.MethodPost, "/me/totp/confirm", "Take the authenticator app into use", access.LoggedIn()), s.postTOTPConfirm)
	httpapi.Handle(a, op("remove-totp", http.MethodDelete, "/me/totp", "Take the authenticator app out of use", access.LoggedIn()), s.deleteTOTP)
	httpapi.Handle(a, op("renew-recovery-codes", http.MethodPost, "/me/recovery-codes", "New recovery codes instead of the old ones", access.LoggedIn()), s.postRecoveryCodes)
	httpapi.Handle(a, op("reset-second-factor", http.MethodDelete, "/users/{id}/second-factor", "Take all second factors from a user who lost his; his logins end",
		access.Permits(access.WriteUsers)), s.deleteFactors)
}

func (s *Service) postProve(ctx context.Context, in *struct{ Body ProveBody }) (LoggedInView, error) {
	var err error
	if in.Body.Passkey != nil {
		err = s.ProveByPasskey(ctx, in.Body.Passkey.answer())
	} else {
		err = s.Prove(ctx, Attempt{Password: in.Body.Password, Code: in.Body.Code, RecoveryCode: in.Body.RecoveryCode})
	}
	if err != nil {
		return LoggedInView{}, err
	}
	return s.getSession(ctx, nil)
}

func (s *Service) postProveBegin(ctx context.Context, _ *struct{}) (PasskeyChallengeView, error) {
	return viewChallenge(s.BeginProof(ctx))
}

func (s *Service) postTOTPBegin(ctx context.Context, _ *struct{}) (TOTPSetupView, error) {
	setup, err := s.BeginTOTP(ctx)
	return TOTPSetupView(setup), err
}

func (s *Service) postTOTPConfirm(ctx context.Context, in *struct{ Body TOTPConfirmBody }) (RecoveryCodesView, error) {
	codes, err := s.ConfirmTOTP(ctx, in.Body.Code)
	return viewCodes(codes), err
}

func (s *Service) deleteTOTP(ctx context.Context, _ *struct{}) (httpapi.Done, error) {
	return httpapi.Did("the authenticator app is out of use"), s.RemoveTOTP(ctx)
}

func (s *Service) postRecoveryCodes(ctx context.Context, _ *struct{}) (RecoveryCodesView, error) {
	codes, err := s.RenewRecoveryCodes(ctx)
	return viewCodes(codes), err
}

func (s *Service) deleteFactors(ctx context.Context, in *userPath) (httpapi.Done, error) {
	return httpapi.Did("the second factors are gone: the password is enough again"), s.Reset(ctx, in.ID)
}
