package login_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/login"
)

const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJkfXfwCAcppSlnJX67s9CgbV4fxWaJfYtN5wdny3VXk anna"

type attempted struct {
	method, path string
	body         any
	status       int
}

// A stolen login lasts as long as its cookie: what lasts longer, or shuts the owner
// out, takes a proof.
func TestWhatOutlastsALoginNeedsAProof(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	chief := b.user("chief", true)
	w := b.in("chief")
	me := "/users/" + string(chief.ID)
	theirs := "/users/" + string(b.anna.ID)
	calls := []attempted{
		{http.MethodPost, "/keys", object{"name": "x", "scopes": []string{"read"}}, http.StatusCreated},
		{http.MethodPost, "/keys", object{"name": "x", "scopes": []string{"read"}, "user_id": b.anna.ID}, http.StatusCreated},
		{http.MethodPost, "/users", object{"username": "newcomer", "email": "newcomer@example.test", "password": "a long password"}, http.StatusCreated},
		{http.MethodPatch, theirs, object{"password": "another password"}, http.StatusOK},
		{http.MethodPatch, theirs, object{"username": "annette"}, http.StatusOK},
		{http.MethodPatch, theirs, object{"disabled": true}, http.StatusOK},
		{http.MethodPatch, theirs, object{"admin": true}, http.StatusOK},
		{http.MethodDelete, theirs + "/second-factor", nil, http.StatusOK},
		{http.MethodPost, "/roles", object{"name": "helpers", "permissions": []string{"users.read"}}, http.StatusCreated},
		{http.MethodDelete, theirs, nil, http.StatusOK},
		{http.MethodPost, me + "/ssh-keys", object{"public_key": sshKey}, http.StatusCreated},
		{http.MethodPatch, me, object{"email": "else@example.test"}, http.StatusOK},
		{http.MethodDelete, me + "/second-factor", nil, http.StatusOK},
	}
	b.clock.Add(login.ProofLife)
	w.call(http.MethodPatch, theirs, object{"quota": object{"instances": 3}}).is(http.StatusOK) // opens nothing
	var seen int64
	b.happened(&seen)
	for _, c := range calls {
		a := w.call(c.method, c.path, c.body)
		a.is(http.StatusForbidden)
		if a.details() != "proof=password" {
			t.Errorf("%s %s: %s", c.method, c.path, a.body)
		}
	}
	w.call(http.MethodPatch, me, object{"password": "one of a thief"}).is(http.StatusForbidden)
	if facts := b.happened(&seen); facts != "" {
		t.Errorf("facts of refused calls: %s", facts)
	}
	w.call(http.MethodPost, "/me/prove", object{"password": password}).is(http.StatusOK)
	for _, c := range calls {
		w.call(c.method, c.path, c.body).is(c.status)
	}
}

// Where the password alone doesn't log in, it proves nothing alone either.
func TestAProofTakesTheSecondFactor(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	w := b.in("anna")
	secret, recovery := w.withTOTP()
	b.clock.Add(login.ProofLife)
	refused := func(field string, body object) {
		t.Helper()
		a := w.call(http.MethodPost, "/me/prove", body)
		a.is(http.StatusUnprocessableEntity)
		if !strings.HasPrefix(a.details(), field+"=") {
			t.Errorf("%v: %s", body, a.body)
		}
		w.call(http.MethodPost, "/me/recovery-codes", nil).is(http.StatusForbidden)
	}
	refused("code", object{"password": password})
	refused("code", object{"password": password, "code": "000000"})
	refused("password", object{"password": "wrong", "code": b.code(secret)})
	refused("recovery_code", object{"password": password, "recovery_code": "abcd-efgh-ijkl-mnop"})
	w.call(http.MethodPost, "/me/password", object{"password": password, "new_password": "another password"}).is(http.StatusForbidden)
	w.call(http.MethodPost, "/me/prove", object{"password": password, "code": b.code(secret)}).is(http.StatusOK)
	w.call(http.MethodPost, "/me/password", object{"password": "wrong", "new_password": "another password"}).is(http.StatusUnprocessableEntity)
	b.clock.Add(login.ProofLife)
	w.call(http.MethodPost, "/me/prove", object{"password": password, "recovery_code": recovery[0]}).is(http.StatusOK)
	b.clock.Add(login.ProofLife)
	refused("recovery_code", object{"password": password, "recovery_code": recovery[0]})
	w.call(http.MethodPost, "/me/prove", object{"password": password, "code": b.code(secret)}).is(http.StatusOK)
	w.call(http.MethodPost, "/me/password", object{"password": password, "new_password": "another password"}).is(http.StatusOK)
}
