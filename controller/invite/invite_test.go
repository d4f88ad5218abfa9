package invite_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/invite"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

func TestAnInvitationByMailLetsHimIn(t *testing.T) {
	t.Parallel()
	b := setup(t, true)
	anna := b.user("anna", "")
	for _, password := range []string{"", " ", "x", "long enough"} { // nothing opens the account
		if status := b.browser().login("anna", password); status == 200 {
			t.Fatal("an account without a password was opened")
		}
	}
	a := b.admin("POST", "/users/"+string(anna.ID)+"/invite", "")
	if v := a.data(t); v["mailed"] != true || v["link"] != nil || strings.Contains(a.text, "#") {
		t.Fatal(a.text)
	}
	m := b.server.Next()
	if m.To != "anna@example.test" || !strings.HasPrefix(m.Link(), publicURL+"/link#") {
		t.Fatalf("%+v", m)
	}
	if n := b.count(`SELECT COUNT(*) FROM links WHERE instr(hash, ?) OR email LIKE '%' || ?`, m.Token(), m.Token()); n != 0 {
		t.Fatal("the token is in the database")
	}
	w := b.browser()
	look := w.call("POST", "/links/look", `{"token":"`+m.Token()+`"}`).data(t)
	if look["purpose"] != "invite" || look["username"] != "anna" || look["password"] != true {
		t.Fatal(look)
	}
	if a := w.use(m.Token(), "short"); a.status != 422 {
		t.Fatal(a.text)
	}
	used := w.use(m.Token(), "annas password")
	if v := used.data(t); v["logged_in"] != true || v["csrf"] == "" {
		t.Fatal(used.text)
	}
	cookie := used.header.Get("Set-Cookie")
	if !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Lax") {
		t.Fatal(cookie)
	}
	if a := w.call("GET", "/session", ""); a.status != 200 || !strings.Contains(a.text, `"means":"link"`) {
		t.Fatal(a.text)
	}
	if status := b.browser().login("anna", "annas password"); status != 200 {
		t.Fatal(status)
	}
	if u, err := b.users.User(t.Context(), anna.ID); err != nil || !u.Verified {
		t.Fatal("the mail reached him, and his address isn't known to be his", err)
	}
	if a := w.use(m.Token(), "another one"); a.status != 404 {
		t.Fatal("a link worked twice", a.text)
	}
	if h := b.happened(); strings.Contains(h, m.Token()) || !strings.Contains(h, `user.invited key:admin {"by":"mail"}`) || !strings.Contains(h, `link.used session:anna {"purpose":"invite"}`) {
		t.Fatal(h)
	}
}

func TestWithoutMailTheLinkIsHandedOver(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	anna := b.user("anna", "")
	first := b.byHand(anna.ID)
	second := b.byHand(anna.ID)
	if a := b.browser().use(first, "annas password"); a.status != 404 {
		t.Fatal("an older link still worked", a.text)
	}
	if a := b.browser().use(second, "annas password"); a.status != 200 {
		t.Fatal(a.text)
	}
	if u, err := b.users.User(t.Context(), anna.ID); err != nil || u.Verified {
		t.Fatal("a link that was handed over verifies no address", err)
	}
}

func TestAnotherPasswordEndsTheLinksForOne(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	anna := b.user("anna", "")
	link, password := b.byHand(anna.ID), "another password"
	if _, err := b.users.UpdateUser(access.With(t.Context(), access.Local()), anna.ID, identity.UserChange{Password: &password}); err != nil {
		t.Fatal(err)
	}
	if a := b.browser().use(link, "annas password"); a.status != 404 {
		t.Fatal("a link from before the password still worked", a.text)
	}
}

func TestLinksExpire(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	anna, bob := b.user("anna", ""), b.user("bob", "bobs password")
	invitation, reset := b.byHand(anna.ID), b.byHand(bob.ID)
	b.clock.Add(time.Hour)
	if a := b.browser().use(reset, "another password"); a.status != 404 {
		t.Fatal(a.text)
	}
	b.clock.Add(7*24*time.Hour - time.Hour - time.Second)
	if a := b.browser().call("POST", "/links/look", `{"token":"`+invitation+`"}`); a.status != 200 {
		t.Fatal(a.text)
	}
	b.clock.Add(time.Second)
	if a := b.browser().use(invitation, "annas password"); a.status != 404 {
		t.Fatal(a.text)
	}
}

func TestOfManyWhoUseALinkAtOnceOneGetsIn(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	token := b.byHand(b.user("anna", "").ID)
	var in, out atomic.Int32
	var winner atomic.Value
	var work sync.WaitGroup
	for n := range 6 {
		work.Go(func() {
			password := fmt.Sprintf("password number %d", n)
			switch a := b.browser().use(token, password); a.status {
			case 200:
				in.Add(1)
				winner.Store(password)
			case 404:
				out.Add(1)
			default:
				t.Error(a.text)
			}
		})
	}
	work.Wait()
	if in.Load() != 1 || out.Load() != 5 {
		t.Fatal(in.Load(), out.Load())
	}
	if status := b.browser().login("anna", winner.Load().(string)); status != 200 {
		t.Fatal("another's password won", status)
	}
	if n := b.count(`SELECT COUNT(*) FROM sessions WHERE means = 'link'`); n != 1 {
		t.Fatal(n)
	}
}

func TestAForgottenPassword(t *testing.T) {
	t.Parallel()
	b := setup(t, true)
	anna := b.user("anna", "the old password")
	w := b.browser()
	if status := w.login("anna", "the old password"); status != 200 {
		t.Fatal(status)
	}
	known := b.browser().call("POST", "/forgot", `{"email":"ANNA@example.test"}`)
	m := b.server.Next()
	unknown := b.browser().call("POST", "/forgot", `{"email":"nobody@example.test"}`)
	if known.status != 200 || known.text != unknown.text {
		t.Fatal(known.text, unknown.text)
	}
	b.quiet()
	if b.server.Count() != 1 {
		t.Fatal("a stranger got a mail")
	}
	other := b.browser()
	if a := other.use(m.Token(), "the new password"); a.status != 200 || a.data(t)["logged_in"] != true {
		t.Fatal(a.text)
	}
	if a := w.call("GET", "/session", ""); a.status != 401 {
		t.Fatal("a login outlived the password", a.text)
	}
	if a := other.call("GET", "/session", ""); a.status != 200 {
		t.Fatal(a.text)
	}
	if b.browser().login("anna", "the old password") == 200 || b.browser().login("anna", "the new password") != 200 {
		t.Fatal("the wrong password opens")
	}
	if told := b.server.Next(); told.To != "anna@example.test" || told.Link() != "" || !strings.Contains(told.Subject, "was changed") {
		t.Fatalf("%+v", told)
	}
	if h := b.happened(); !strings.Contains(h, `password.reset_sent`) || !strings.Contains(h, `user.updated session:anna {"changed":["password","verified"]}`) {
		t.Fatal(h)
	}
	_ = anna
}

func TestASecondFactorIsNotPassedByALink(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	anna := b.user("anna", "the old password")
	err := b.db.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO authenticators (user_id, secret, confirmed_at, created_at) VALUES (?, x'00', 1, 1)`, string(anna.ID))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w := b.browser()
	a := w.use(b.byHand(anna.ID), "the new password")
	if v := a.data(t); v["logged_in"] != false || v["second_factor"] != true || a.header.Get("Set-Cookie") != "" {
		t.Fatal(a.text, a.header)
	}
	if a := w.call("GET", "/session", ""); a.status != 401 || b.count(`SELECT COUNT(*) FROM sessions`) != 0 {
		t.Fatal(a.text)
	}
	if a := w.call("POST", "/login", `{"name":"anna","password":"the new password"}`); a.status != 401 || !strings.Contains(a.text, "totp") {
		t.Fatal(a.text)
	}
}

func TestDisabledAccountsHaveNoLinks(t *testing.T) {
	t.Parallel()
	b := setup(t, true)
	anna := b.user("anna", "the old password")
	token := b.byHand(anna.ID)
	yes := true
	if _, err := b.users.UpdateUser(b.local(), anna.ID, identity.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	for path, body := range map[string]string{"/links/look": `{"token":"` + token + `"}`, "/links/use": `{"token":"` + token + `","password":"the new password"}`} {
		if a := b.browser().call("POST", path, body); a.status != 404 {
			t.Errorf("%s: %s", path, a.text)
		}
	}
	if a := b.admin("POST", "/users/"+string(anna.ID)+"/invite", ""); a.status != 409 {
		t.Error(a.text)
	}
	if a := b.browser().call("POST", "/forgot", `{"email":"anna@example.test"}`); a.status != 200 {
		t.Error(a.text)
	}
	b.quiet()
	if b.server.Count() != 0 {
		t.Error("a disabled account got a mail")
	}
}

func TestALinkThatWasMailedDiesWithTheAddress(t *testing.T) {
	t.Parallel()
	b := setup(t, true)
	anna := b.user("anna", "the old password")
	b.browser().call("POST", "/forgot", `{"email":"anna@example.test"}`)
	m := b.server.Next()
	other := "anna@elsewhere.test"
	if _, err := b.users.UpdateUser(b.local(), anna.ID, identity.UserChange{Email: &other}); err != nil {
		t.Fatal(err)
	}
	if a := b.browser().use(m.Token(), "the new password"); a.status != 404 {
		t.Fatal(a.text)
	}
}

func TestForgettingIsSlowedDown(t *testing.T) {
	t.Parallel()
	b := setup(t, true)
	b.user("anna", "the old password")
	b.user("bob", "the old password")
	for range 3 {
		if a := b.browser().call("POST", "/forgot", `{"email":"anna@example.test"}`); a.status != 200 {
			t.Fatal(a.text)
		}
		b.quiet()
	}
	for range 3 {
		b.browser().call("POST", "/forgot", `{"email":"bob@example.test"}`)
	}
	b.quiet()
	got := map[string]int{}
	for range b.server.Count() {
		got[b.server.Next().To]++
	}
	if got["anna@example.test"] != 3 || got["bob@example.test"] < 2 || got["bob@example.test"] > 3 {
		t.Fatal(got)
	}
	a := b.browser().call("POST", "/forgot", `{"email":"carl@example.test"}`)
	if a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Fatal(a.status, a.text)
	}
	b.clock.Add(24 * time.Hour)
	if a := b.browser().call("POST", "/forgot", `{"email":"carl@example.test"}`); a.status != 200 {
		t.Fatal(a.text)
	}
}

func TestWhoMayInvite(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	anna, bob := b.user("anna", ""), b.user("bob", "")
	boss, err := b.users.CreateUser(b.local(), identity.NewUser{Username: "boss", Email: "boss@example.test", Password: "long enough", Admin: true})
	if err != nil {
		t.Fatal(err)
	}
	role, err := b.users.CreateRole(b.local(), identity.Role{Name: "desk", Permissions: []access.Permission{access.WriteUsers}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.users.UpdateUser(b.local(), bob.ID, identity.UserChange{Role: &role.ID}); err != nil {
		t.Fatal(err)
	}
	key := func(u identity.User) string {
		k, err := b.users.CreateKey(b.local(), identity.NewKey{User: u.ID, Name: "k", Scopes: []access.Scope{access.ScopeAdmin}})
		if err != nil {
			t.Fatal(err)
		}
		return k.Text
	}
	desk := key(bob)
	for _, c := range []struct {
		key    string
		of     identity.User
		status int
	}{{"", anna, 401}, {"wrong", anna, 401}, {desk, anna, 200}, {desk, boss, 403}, {adminKey, boss, 200}} {
		if a := b.browser().call("POST", "/users/"+string(c.of.ID)+"/invite", "", "X-Api-Key", c.key); a.status != c.status {
			t.Errorf("%+v: %d %s", c, a.status, a.text)
		}
	}
	if a := b.admin("POST", "/users/nobody/invite", ""); a.status != 404 {
		t.Error(a.text)
	}
	if n := b.count(`SELECT COUNT(*) FROM links WHERE user_id = ?`, string(boss.ID)); n != 1 {
		t.Error("a link into an admin's account was made for who is none")
	}
}

func TestPublicCallsAreOfThePanelsOwnPages(t *testing.T) {
	t.Parallel()
	b := setup(t, true)
	token := b.byHand(b.user("anna", "").ID)
	for path, body := range map[string]string{"/forgot": `{"email":"anna@example.test"}`, "/links/look": `{"token":"` + token + `"}`, "/links/use": `{"token":"` + token + `","password":"long enough"}`} {
		if a := b.browser().call("POST", path, body, "Origin", "https://evil.test", "Sec-Fetch-Site", "cross-site"); a.status != 403 {
			t.Errorf("%s: %s", path, a.text)
		}
	}
	for _, bad := range []string{`{"token":""}`, `{}`, `{"token":"` + strings.Repeat("a", 200) + `"}`, `not json`} {
		if a := b.browser().call("POST", "/links/look", bad); a.status != 422 && a.status != 400 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
	if a := b.browser().call("POST", "/links/look", `{"token":"unknown"}`); a.status != 404 {
		t.Error(a.text)
	}
	// The host that a request names makes no link.
	b.browser().call("POST", "/forgot", `{"email":"admin@example.test"}`, "X-Forwarded-Host", "evil.test")
	if n := b.count(`SELECT COUNT(*) FROM links`); n > 1 {
		t.Error(n)
	}
}

func TestAnotherAddressIsConfirmed(t *testing.T) {
	t.Parallel()
	b := setup(t, true)
	anna := b.user("anna", "annas password")
	b.user("bob", "bobs password")
	w := b.browser()
	if status := w.login("anna", "annas password"); status != 200 {
		t.Fatal(status)
	}
	if a := w.call("PATCH", "/me", `{"email":"new@example.test"}`); a.status != 200 || !strings.Contains(a.text, "anna@example.test") {
		t.Fatal(a.text)
	}
	m := b.server.Next()
	if m.To != "new@example.test" {
		t.Fatalf("%+v", m)
	}
	if a := b.browser().call("POST", "/links/look", `{"token":"`+m.Token()+`"}`).data(t); a["email"] != "new@example.test" || a["password"] != false {
		t.Fatal(a)
	}
	if a := b.browser().use(m.Token(), "a password too"); a.status != 422 {
		t.Fatal(a.text)
	}
	other := b.browser()
	if a := other.use(m.Token(), ""); a.status != 200 || a.data(t)["logged_in"] != false || a.header.Get("Set-Cookie") != "" {
		t.Fatal(a.text)
	}
	if u, err := b.users.User(t.Context(), anna.ID); err != nil || u.Email != "new@example.test" || !u.Verified {
		t.Fatalf("%+v, %v", u, err)
	}
	if told := b.server.Next(); told.To != "anna@example.test" || !strings.Contains(told.Plain, "new@example.test") {
		t.Fatalf("%+v", told)
	}
	if a := w.call("GET", "/session", ""); a.status != 200 {
		t.Fatal("confirming an address logged him out", a.text)
	}
	// Somebody else's address: the same answer, and no mail.
	if a := w.call("PATCH", "/me", `{"email":"bob@example.test"}`); a.status != 200 {
		t.Fatal(a.text)
	}
	b.quiet()
	if n := b.server.Count(); n != 2 {
		t.Fatal(n)
	}
}

func TestWithoutMailAnAddressChangesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, false)
	anna := b.user("anna", "annas password")
	w := b.browser()
	if status := w.login("anna", "annas password"); status != 200 {
		t.Fatal(status)
	}
	if a := w.call("PATCH", "/me", `{"email":"new@example.test"}`); a.status != 200 || !strings.Contains(a.text, "new@example.test") {
		t.Fatal(a.text)
	}
	if u, err := b.users.User(t.Context(), anna.ID); err != nil || u.Verified {
		t.Fatal("an address that nobody confirmed is verified", err)
	}
	if a := b.browser().call("POST", "/forgot", `{"email":"anna@example.test"}`); a.status != 409 {
		t.Fatal(a.text)
	}
}

func TestAGuestGetsAnAccount(t *testing.T) {
	t.Parallel()
	b := setup(t, true)
	owner := b.user("owner", "owners password")
	ctx := access.With(t.Context(), access.Caller{Actor: access.Actor{Via: access.ViaSession, User: owner.ID, Username: "owner"}})
	b.user("guest", "taken, so another name is made")
	id, err := b.svc.Host(ctx, invite.Guest{Email: "guest@elsewhere.test", By: "owner", To: "my server"})
	if err != nil {
		t.Fatal(err)
	}
	m := b.server.Next()
	if m.To != "guest@elsewhere.test" || m.Subject != "owner shares my server with you" {
		t.Fatalf("%+v", m)
	}
	u, err := b.users.User(t.Context(), id)
	if err != nil || u.Admin || u.Role != "" || !strings.HasPrefix(u.Username, "guest-") {
		t.Fatalf("%+v, %v", u, err)
	}
	if a := b.browser().use(m.Token(), "guests password"); a.status != 200 {
		t.Fatal(a.text)
	}
	if _, err := b.svc.Host(ctx, invite.Guest{Email: "guest@elsewhere.test", By: "owner", To: "my server"}); !problem.Is(err, problem.Conflict) {
		t.Fatal(err)
	}
	var last error
	for n := range 30 {
		_, last = b.svc.Host(ctx, invite.Guest{Email: fmt.Sprintf("g%d@elsewhere.test", n), By: "owner", To: "my server"})
	}
	if !problem.Is(last, problem.RateLimited) {
		t.Fatal(last)
	}
}
