package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/mail/mailtest"
)

// Who was invited gets in, from the settings to the first page.
func TestAPersonIsInvitedByMail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	server := mailtest.New(t, mailtest.Options{})
	if a := b.call("", http.MethodGet, "/api/v1/panel", nil); a.status != http.StatusOK || !strings.Contains(a.body, `"oidc":null`) || !strings.Contains(a.body, `"mail":false`) {
		t.Fatal(a.body)
	}
	a := b.call(adminKey, http.MethodPatch, "/api/v1/settings/mail", object{"host": server.Host, "port": server.Port, "security": "none", "from": "berth@example.test"})
	if a.status != http.StatusOK {
		t.Fatal(a.body)
	}
	if a := b.call("", http.MethodGet, "/api/v1/panel", nil); !strings.Contains(a.body, `"mail":true`) {
		t.Fatal(a.body)
	}
	a = b.call(adminKey, http.MethodPost, "/api/v1/users", object{"username": "anna", "email": "anna@example.test"})
	if a.status != http.StatusCreated {
		t.Fatal(a.body)
	}
	_, rest, _ := strings.Cut(a.body, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	if a := b.call(adminKey, http.MethodPost, "/api/v1/users/"+id+"/invite", nil); a.status != http.StatusOK {
		t.Fatal(a.body)
	}
	m := server.Next()
	if !strings.HasPrefix(m.Link(), "http://panel.test/link#") {
		t.Fatal(m.Plain)
	}
	a = b.call("", http.MethodPost, "/api/v1/links/use", object{"token": m.Token(), "password": "annas password"})
	if a.status != http.StatusOK || !strings.Contains(a.body, `"logged_in":true`) {
		t.Fatal(a.body)
	}
	cookie, _, _ := strings.Cut(a.header.Get("Set-Cookie"), ";")
	if a := b.callWith(map[string]string{"Cookie": cookie}, "", http.MethodGet, "/api/v1/session", nil); a.status != http.StatusOK || !strings.Contains(a.body, `"anna"`) {
		t.Fatal(a.body)
	}
}
