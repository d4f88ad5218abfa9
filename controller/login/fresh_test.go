package login_test

import (
	"net/http"
	"testing"

	"github.com/berth-panel/berth/controller/login"
)

const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJkfXfwCAcppSlnJX67s9CgbV4fxWaJfYtN5wdny3VXk anna"

// A stolen login lasts as long as its cookie: what lasts longer, or shuts the owner
// out, takes a proof.
func TestWhatOutlastsALoginNeedsAProof(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	chief := b.user("chief", true)
	w := b.in("chief")
	me := "/users/" + string(chief.ID)
	calls := []struct {
		method, path string
		body         any
		status       int
	}{
		{http.MethodPost, "/keys", object{"name": "x", "scopes": []string{"read"}}, http.StatusCreated},
		{http.MethodPost, "/keys", object{"name": "x", "scopes": []string{"read"}, "user_id": b.anna.ID}, http.StatusCreated},
		{http.MethodPost, me + "/ssh-keys", object{"public_key": sshKey}, http.StatusCreated},
		{http.MethodPatch, me, object{"email": "else@example.test"}, http.StatusOK},
		{http.MethodDelete, me + "/second-factor", nil, http.StatusOK},
	}
	b.clock.add(login.ProofLife)
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
