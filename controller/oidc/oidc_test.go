package oidc_test

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/oidc"
	"github.com/berth-panel/berth/controller/store"
)

func asIs(*oidc.Settings) {}

func creates(s *oidc.Settings) { s.CreateUsers = true }

func TestANewcomerGetsAnAccount(t *testing.T) {
	t.Parallel()
	b := setup(t, creates)
	b.person(person{name: "newcomer", email: "newcomer@example.test", verified: "1", groups: []string{"admin"}})
	w := b.browser()
	authorize, err := url.Parse(w.start("?next=/instances/7?tab=files"))
	if err != nil {
		t.Fatal(err)
	}
	q := authorize.Query()
	if q.Get("code_challenge_method") != "S256" || len(q.Get("state")) < 40 || len(q.Get("nonce")) < 40 || q.Get("redirect_uri") != b.url+"/api/v1/auth/oidc/callback" {
		t.Fatal(authorize)
	}
	back := b.consent("newcomer", authorize.String())
	a := w.call("GET", back, "")
	if a.status != 303 || a.location != "/instances/7?tab=files" {
		t.Fatal(a.status, a.location)
	}
	if who := w.whoami(); who != "newcomer" {
		t.Fatal(who)
	}
	u, err := b.users.UserByUsername(t.Context(), "newcomer")
	if err != nil || u.Admin || u.Role != "" || !u.Verified || u.Email != "newcomer@example.test" {
		t.Fatalf("%+v, %v", u, err)
	}
	if has, err := identity.HasPassword(t.Context(), b.db.Snapshot(), u.ID); err != nil || has {
		t.Fatal("he has a password", err)
	}
	// The same callback again, in the same browser: its flow is over.
	if a := w.call("GET", back, ""); a.location != "/login?problem=oidc_expired" {
		t.Fatal(a.location)
	}
	// He comes again, with another address there: it is still him.
	again := b.browser()
	if a := again.enter("newcomer", ""); a.location != "/" || again.whoami() != "newcomer" {
		t.Fatal(a.location)
	}
	if n := b.count(`SELECT COUNT(*) FROM oidc_identities`); n != 1 || b.count(`SELECT COUNT(*) FROM users`) != 2 {
		t.Fatal(n)
	}
	if h := b.happened(); !strings.Contains(h, "oidc.linked") || !strings.Contains(h, `"means":"oidc"`) {
		t.Fatal(h)
	}
}

func TestWhoIsntLetIn(t *testing.T) {
	t.Parallel()
	b := setup(t, func(s *oidc.Settings) { s.LinkByEmail = true })
	role, err := b.users.CreateRole(b.local(), identity.Role{Name: "desk", Permissions: []access.Permission{access.ReadUsers}})
	if err != nil {
		t.Fatal(err)
	}
	b.user(identity.NewUser{Username: "chief", Email: "chief@example.test", Verified: true, Admin: true})
	b.user(identity.NewUser{Username: "staff", Email: "staff@example.test", Verified: true, Role: role.ID})
	b.user(identity.NewUser{Username: "unsure", Email: "unsure@example.test"})
	b.user(identity.NewUser{Username: "unproved", Email: "unproved@example.test", Verified: true})
	off := b.user(identity.NewUser{Username: "off", Email: "off@example.test", Verified: true})
	careful := b.user(identity.NewUser{Username: "careful", Email: "careful@example.test", Verified: true})
	yes := true
	if _, err := b.users.UpdateUser(b.local(), off.ID, identity.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	err = b.db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO authenticators (user_id, secret, confirmed_at, created_at) VALUES (?, x'00', 1, 1)`, string(careful.ID))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, verified, want string }{
		{"stranger", "1", "oidc_unknown"},    // no account, and none is made
		{"unproved", "0", "oidc_unverified"}, // the provider doesn't vouch for the address
		{"silent", "", "oidc_unverified"},    // or says nothing of it
		{"chief", "1", "oidc_link_first"},    // what can do more is linked by its owner only
		{"staff", "1", "oidc_link_first"},
		{"careful", "1", "oidc_link_first"},
		{"unsure", "1", "oidc_link_first"}, // nobody knows that the address here is his
		{"off", "1", "oidc_disabled"},
	} {
		b.person(person{name: "w-" + c.name, email: c.name + "@example.test", verified: c.verified})
		w := b.browser()
		if a := w.enter("w-"+c.name, ""); a.location != "/login?problem="+c.want || w.whoami() != "" {
			t.Errorf("%s: %s", c.name, a.location)
		}
	}
	if n := b.count(`SELECT COUNT(*) FROM oidc_identities`) + b.count(`SELECT COUNT(*) FROM sessions`); n != 0 {
		t.Fatal(n)
	}
}

func TestACustomerIsLinkedByHisAddress(t *testing.T) {
	t.Parallel()
	b := setup(t, func(s *oidc.Settings) { s.LinkByEmail = true })
	u := b.user(identity.NewUser{Username: "dora", Email: "dora@example.test", Verified: true})
	b.person(person{name: "dora-there", email: "Dora@example.test", verified: "1"})
	w := b.browser()
	if a := w.enter("dora-there", ""); a.location != "/" || w.whoami() != "dora" {
		t.Fatal(a.location)
	}
	yes := true
	if _, err := b.users.UpdateUser(b.local(), u.ID, identity.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if w.whoami() != "" {
		t.Fatal("a disabled account stays in")
	}
	if a := b.browser().enter("dora-there", ""); a.location != "/login?problem=oidc_disabled" {
		t.Fatal(a.location)
	}
}

func TestRolesFollowGroups(t *testing.T) {
	t.Parallel()
	b := setup(t, creates)
	role := func(name string, p access.Permission) identity.Role {
		r, err := b.users.CreateRole(b.local(), identity.Role{Name: name, Permissions: []access.Permission{p}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	desk, ops, all := role("desk", access.ReadUsers), role("ops", access.ReadNodes), role("all", access.ReadInstances)
	b.configure(func(s *oidc.Settings) {
		s.GroupRoles, s.DefaultRole = []oidc.GroupRole{{Group: "operators", Role: ops.ID}, {Group: "desk", Role: desk.ID}, {Group: "gone", Role: "gone"}}, all.ID
	})
	b.person(person{name: "g-both", email: "g-both@example.test", verified: "1", groups: []string{"desk", "operators", "administrators"}})
	b.person(person{name: "g-none", email: "g-none@example.test", verified: "1", groups: []string{"admin"}})
	b.person(person{name: "g-gone", email: "g-gone@example.test", verified: "1", groups: []string{"gone"}})
	for name, want := range map[string]identity.Role{"g-both": ops, "g-none": all, "g-gone": {}} {
		w := b.browser()
		if a := w.enter(name, ""); a.location != "/" {
			t.Fatal(a.location)
		}
		if u, err := b.users.UserByUsername(t.Context(), name); err != nil || u.Role != want.ID || u.Admin {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
	b.configure(func(s *oidc.Settings) { s.GroupRoles, s.DefaultRole = s.GroupRoles[1:], "" })
	for name, want := range map[string]identity.Role{"g-both": desk, "g-none": {}} {
		b.browser().enter(name, "")
		if u, err := b.users.UserByUsername(t.Context(), name); err != nil || u.Role != want.ID {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
}

func TestAFlowBelongsToItsBrowser(t *testing.T) {
	t.Parallel()
	b := setup(t, creates)
	b.person(person{name: "victim", email: "victim@example.test", verified: "1"})
	const over = "/login?problem=oidc_expired"
	mine, other := b.browser(), b.browser()
	back := b.consent("victim", mine.start(""))
	if a := other.call("GET", back, ""); a.location != over || other.whoami() != "" { // a stranger's browser is led to it
		t.Fatal(a.location)
	}
	other.start("")
	if a := other.call("GET", back, ""); a.location != over { // with a flow of its own
		t.Fatal(a.location)
	}
	changed := strings.Replace(back, "state=", "state=x", 1)
	if a := mine.call("GET", changed, ""); a.location != over {
		t.Fatal(a.location)
	}
	late := b.browser()
	back = b.consent("victim", late.start(""))
	b.clock.Add(10 * time.Minute)
	if a := late.call("GET", back, ""); a.location != over {
		t.Fatal(a.location)
	}
	if n := b.count(`SELECT COUNT(*) FROM oidc_identities`); n != 0 {
		t.Fatal(n)
	}
}

func TestTheProviderOrHeSaysNo(t *testing.T) {
	t.Parallel()
	b := setup(t, creates)
	b.person(person{name: "denier", email: "denier@example.test", verified: "1"})
	w := b.browser()
	at, err := url.Parse(w.start(""))
	if err != nil {
		t.Fatal(err)
	}
	if a := w.call("GET", "/auth/oidc/callback?error=access_denied&state="+at.Query().Get("state"), ""); a.location != "/login?problem=oidc_denied" {
		t.Fatal(a.location)
	}
	w = b.browser()
	if at, err = url.Parse(w.start("")); err != nil {
		t.Fatal(err)
	}
	if a := w.call("GET", "/auth/oidc/callback?code=invented&state="+at.Query().Get("state"), ""); a.location != "/login?problem=oidc_failed" {
		t.Fatal(a.location)
	}
	// A code that was given to another flow of the same client: PKCE refuses it.
	one, two := b.browser(), b.browser()
	stolen, err := url.Parse(b.consent("denier", one.start("")))
	if err != nil {
		t.Fatal(err)
	}
	if at, err = url.Parse(two.start("")); err != nil {
		t.Fatal(err)
	}
	a := two.call("GET", "/auth/oidc/callback?code="+url.QueryEscape(stolen.Query().Get("code"))+"&state="+at.Query().Get("state"), "")
	if a.location != "/login?problem=oidc_failed" || two.whoami() != "" {
		t.Fatal(a.location)
	}
}

func TestNobodyIsSentElsewhere(t *testing.T) {
	t.Parallel()
	b := setup(t, creates)
	b.person(person{name: "walker", email: "walker@example.test", verified: "1"})
	for _, next := range []string{"https://evil.test/", "//evil.test", `/\evil.test`, "javascript:alert(1)", "/a\r\nSet-Cookie: x=y", "/" + strings.Repeat("a", 400), "evil", ""} {
		w := b.browser()
		if a := w.enter("walker", "?next="+url.QueryEscape(next)); a.location != "/" {
			t.Errorf("%q: %q", next, a.location)
		}
	}
}

func TestLinkingNeedsTheLoginAndItsProof(t *testing.T) {
	t.Parallel()
	b := setup(t, asIs)
	b.user(identity.NewUser{Username: "boss", Email: "boss@example.test", Admin: true})
	b.person(person{name: "boss-there", email: "elsewhere@example.test", verified: "0"})
	w := b.browser()
	w.login("boss")
	if a := w.call("POST", "/me/oidc", ""); a.status != 200 {
		t.Fatal(a.text)
	}
	csrf := w.csrf
	w.csrf = ""
	if a := w.call("POST", "/me/oidc", ""); a.status != 403 {
		t.Fatal("a stranger's page began a link", a.status)
	}
	w.csrf = csrf
	b.clock.Add(11 * time.Minute)
	if a := w.call("POST", "/me/oidc", ""); a.status != 403 {
		t.Fatal("no fresh proof was asked for", a.status)
	}
	if a := w.call("POST", "/me/prove", `{"password":"a long password"}`); a.status != 200 {
		t.Fatal(a.text)
	}
	ticket := func() string {
		t.Helper()
		a := w.call("POST", "/me/oidc", "")
		_, rest, ok := strings.Cut(a.text, `/api/v1/auth/oidc/start?ticket=`)
		text, _, _ := strings.Cut(rest, `"`)
		if !ok {
			t.Fatal(a.text)
		}
		return "?ticket=" + text
	}
	// In another browser the ticket is worth nothing.
	if a := b.browser().call("GET", "/auth/oidc/start"+ticket(), ""); a.location != "/account/security?problem=oidc_expired" {
		t.Fatal(a.location)
	}
	late := ticket()
	b.clock.Add(time.Minute)
	if a := w.call("GET", "/auth/oidc/start"+late, ""); a.location != "/account/security?problem=oidc_expired" {
		t.Fatal(a.location)
	}
	if a := w.enter("boss-there", ticket()); a.location != "/account/security?linked=oidc" || w.whoami() != "boss" {
		t.Fatal(a.location)
	}
	other := b.browser()
	if a := other.enter("boss-there", ""); a.location != "/" || other.whoami() != "boss" {
		t.Fatal(a.location)
	}
	// Nobody else gets it.
	b.user(identity.NewUser{Username: "eve", Email: "eve@example.test"})
	eve := b.browser()
	eve.login("eve")
	a := eve.call("POST", "/me/oidc", "")
	_, rest, _ := strings.Cut(a.text, `/api/v1/auth/oidc/start`)
	query, _, _ := strings.Cut(rest, `"`)
	if a := eve.enter("boss-there", query); a.location != "/account/security?problem=oidc_taken" {
		t.Fatal(a.location)
	}
	b.unlink(w, eve)
}

// unlink is the end of the test above: only its owner unlinks it.
func (b *bundle) unlink(w, eve *browser) {
	t := b.t
	t.Helper()
	a := w.call("GET", "/me/oidc", "")
	_, rest, _ := strings.Cut(a.text, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	if id == "" || !strings.Contains(a.text, "elsewhere@example.test") {
		t.Fatal(a.text)
	}
	if a := eve.call("DELETE", "/me/oidc/"+id, ""); a.status != 404 {
		t.Fatal(a.text)
	}
	if a := w.call("DELETE", "/me/oidc/"+id, ""); a.status != 200 {
		t.Fatal(a.text)
	}
	if a := b.browser().enter("boss-there", ""); a.location != "/login?problem=oidc_unverified" {
		t.Fatal(a.location)
	}
}

func TestTheOnlyWayInIsNotUnlinked(t *testing.T) {
	t.Parallel()
	b := setup(t, creates)
	b.person(person{name: "only", email: "only@example.test", verified: "1"})
	w := b.browser()
	w.enter("only", "")
	w.whoami()
	a := w.call("GET", "/me/oidc", "")
	_, rest, _ := strings.Cut(a.text, `"id":"`)
	id, _, _ := strings.Cut(rest, `"`)
	if a := w.call("DELETE", "/me/oidc/"+id, ""); a.status != 409 {
		t.Fatal(a.text)
	}
}

func TestManyNewcomersAtOnceMakeOneAccount(t *testing.T) {
	t.Parallel()
	b := setup(t, creates)
	b.person(person{name: "rush", email: "rush@example.test", verified: "1"})
	var work sync.WaitGroup
	for range 4 {
		w := b.browser()
		back := b.consent("rush", w.start(""))
		work.Go(func() {
			if a := w.call("GET", back, ""); a.location != "/" {
				t.Error(a.location)
			}
		})
	}
	work.Wait()
	if n := b.count(`SELECT COUNT(*) FROM users WHERE email = 'rush@example.test'`); n != 1 || b.count(`SELECT COUNT(*) FROM oidc_identities`) != 1 {
		t.Fatal(n)
	}
}
