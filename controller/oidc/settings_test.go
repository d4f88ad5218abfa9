package oidc_test

import (
	"net"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/oidc"
)

func TestWithoutAProviderThereIsNoOtherLogin(t *testing.T) {
	t.Parallel()
	b := panel(t)
	if a := b.browser().call("GET", "/auth/oidc", ""); a.status != 200 || !strings.Contains(a.text, `"enabled":false`) {
		t.Fatal(a.text)
	}
	if a := b.browser().call("GET", "/auth/oidc/start", ""); a.status != 303 || a.location != "/login?problem=oidc_unreachable" {
		t.Fatal(a.status, a.location)
	}
	for _, query := range []string{"", "?code=x&state=y", "?error=<script>", "?state="} {
		if a := b.browser().call("GET", "/auth/oidc/callback"+query, ""); a.status != 303 || a.location != "/login?problem=oidc_expired" {
			t.Errorf("%s: %d %s", query, a.status, a.location)
		}
	}
}

func TestAProviderThatDoesntAnswer(t *testing.T) {
	t.Parallel()
	b := panel(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	_ = ln.Close()
	b.configure(func(s *oidc.Settings) { s.Issuer, s.ClientID = "http://"+address, "berth" })
	for range 3 {
		if a := b.browser().call("GET", "/auth/oidc/start", ""); a.location != "/login?problem=oidc_unreachable" {
			t.Fatal(a.location)
		}
	}
	if a := b.browser().call("POST", "/settings/oidc/test", "", "X-Api-Key", adminKey); a.status != 409 || strings.Contains(a.text, clientSecret) {
		t.Fatal(a.text)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	b := panel(t)
	w := b.browser()
	patch := func(key, body string) answer { return w.call("PATCH", "/settings/oidc", body, "X-Api-Key", key) }
	a := patch(adminKey, `{"issuer":"https://login.example.test","client_id":"berth","client_secret":"very secret","button":"Example"}`)
	if a.status != 200 || strings.Contains(a.text, "very secret") || !strings.Contains(a.text, `"has_client_secret":true`) ||
		!strings.Contains(a.text, `"redirect_uri":"`+b.url+`/api/v1/auth/oidc/callback"`) {
		t.Fatal(a.text)
	}
	if h := b.happened(); !strings.Contains(h, `settings.changed admin {"changed":["button","client_id","issuer","client_secret"]}`) {
		t.Fatal(h)
	}
	if a := w.call("GET", "/auth/oidc", ""); !strings.Contains(a.text, `"enabled":true,"button":"Example"`) {
		t.Fatal(a.text)
	}
	before := b.happened()
	for body, field := range map[string]string{
		`{"issuer":"https://other.example.test"}`:             "client_secret", // it would be told the secret
		`{"issuer":"http://login.example.test"}`:              "issuer",
		`{"issuer":"https://a:b@login.example.test"}`:         "issuer",
		`{"issuer":"https://login.example.test?x=y"}`:         "issuer",
		`{"issuer":"file:///etc/passwd"}`:                     "issuer",
		`{"issuer":"nonsense"}`:                               "issuer",
		`{"client_id":""}`:                                    "client_id",
		`{"button":"a\u0000b"}`:                               "button",
		`{"default_role_id":"none"}`:                          "default_role_id",
		`{"group_roles":[{"group":"a","role_id":"unknown"}]}`: "group_roles",
		`{"group_roles":[{"group":"a"}]}`:                     "role_id",
	} {
		if a := patch(adminKey, body); a.status != 422 || !strings.Contains(a.text, field) {
			t.Errorf("%s: %d %s", body, a.status, a.text)
		}
	}
	role, err := b.users.CreateRole(b.local(), identity.Role{Name: "settings", Permissions: []access.Permission{access.WriteSettings}})
	if err != nil {
		t.Fatal(err)
	}
	u := b.user(identity.NewUser{Username: "setter", Email: "setter@example.test", Role: role.ID})
	k, err := b.users.CreateKey(b.local(), identity.NewKey{User: u.ID, Name: "k", Scopes: []access.Scope{access.ScopeAdmin}})
	if err != nil {
		t.Fatal(err)
	}
	if a := patch(k.Text, `{"create_users":true}`); a.status != 403 {
		t.Error("who isn't an admin says who gets in", a.text)
	}
	if a := w.call("GET", "/settings/oidc", "", "X-Api-Key", k.Text); a.status != 200 || strings.Contains(a.text, "very secret") {
		t.Error(a.text)
	}
	if strings.Count(b.happened(), "settings.changed") != strings.Count(before, "settings.changed") {
		t.Error(b.happened())
	}
	if a := patch(adminKey, `{"issuer":""}`); a.status != 200 {
		t.Error(a.text)
	}
}
