package login_test

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/login"
	"github.com/berth-panel/berth/controller/store"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	var seen int64
	b.happened(&seen)
	w := b.browser()
	w.header["User-Agent"] = "a browser"
	v := w.login("Anna", nil)
	if v.User.Username != "anna" || v.Via != "session" || v.Session.Means != "password" || v.Session.Address != "127.0.0.1" || v.Session.Browser != "a browser" || v.SecondFactor.TOTP {
		t.Errorf("%+v", v)
	}
	if again := w.session(); again.CSRF != v.CSRF || again.Session.ID != v.Session.ID {
		t.Errorf("%+v, then %+v", v, again)
	}
	// Whoever follows the events from there misses none that comes after the answer.
	before := w.session().LastEvent
	w.call(http.MethodPatch, "/me", object{"username": "hanna"}).is(http.StatusOK)
	if after := w.session().LastEvent; after <= before || before < v.LastEvent {
		t.Errorf("the last event is %d at the login, %d, and %d after a change", v.LastEvent, before, after)
	}
	b.in("anna@example.test")
	w.call(http.MethodPost, "/logout", nil).is(http.StatusOK)
	if w.cookie != nil {
		t.Error("the cookie is still there")
	}
	if got, want := b.happened(&seen), "session.started user.updated session.started session.ended"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if n := b.rows("sessions"); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

func TestACookieIsForOneHostAlone(t *testing.T) {
	t.Parallel()
	marks := map[string]string{
		"":                          "berth_logged_in=1; Path=/; Max-Age=7776000; SameSite=Lax",
		"https://panel.example.com": "__Host-berth_logged_in=1; Path=/; Max-Age=7776000; Secure; SameSite=Lax",
	}
	for public, want := range map[string]string{
		"":                          `^berth_session=[\w-]{43}; Path=/; Max-Age=7776000; HttpOnly; SameSite=Lax$`,
		"https://panel.example.com": `^__Host-berth_session=[\w-]{43}; Path=/; Max-Age=7776000; HttpOnly; Secure; SameSite=Lax$`,
	} {
		b := setup(t, public)
		a := b.browser().call(http.MethodPost, "/login", object{"name": "anna", "password": password})
		a.is(http.StatusOK)
		got := a.header.Values("Set-Cookie")
		if len(got) != 2 || !regexp.MustCompile(want).MatchString(got[0]) {
			t.Fatalf("%q sets %q", public, got)
		}
		// What pages may read says that there is a session, and nothing of it.
		if mark := marks[public]; got[1] != mark {
			t.Errorf("%q marks with %q, want %q", public, got[1], mark)
		}
		if strings.Contains(a.body, strings.Split(strings.Split(a.header.Get("Set-Cookie"), "=")[1], ";")[0]) {
			t.Error("the cookie's text is in the body")
		}
	}
}

// What comes with a cookie that somebody else set is another session afterwards.
func TestALoginIsANewSession(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	w := b.in("anna")
	planted := *w.cookie
	stranger := b.browser()
	stranger.cookie, stranger.csrf = &planted, w.csrf
	w.login("anna", nil)
	if w.cookie.Value == planted.Value {
		t.Fatal("the cookie is the same")
	}
	stranger.call(http.MethodGet, "/session", nil).is(http.StatusUnauthorized)
	unknown := b.browser()
	unknown.cookie = &http.Cookie{Name: planted.Name, Value: "chosen-by-somebody"}
	unknown.login("anna", nil)
	if unknown.cookie.Value == "chosen-by-somebody" {
		t.Error("a chosen cookie was taken over")
	}
}

// A stranger can't tell an unknown name, a wrong password and a disabled account
// apart.
func TestRefusalsAreAlike(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	off := b.user("off", false)
	yes := true
	if _, err := b.users.UpdateUser(b.ctx(), off.ID, identity.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	var seen int64
	b.happened(&seen)
	id := regexp.MustCompile(`"request_id":"[^"]*"`)
	var first answer
	for n, body := range []object{
		{"name": "anna", "password": "wrong"}, {"name": "nobody", "password": password}, {"name": "off", "password": password},
		{"name": "anna@example.test", "password": "wrong", "code": "123456"}, {"name": "nobody", "password": "x", "recovery_code": "aaaa"},
	} {
		a := b.browser().call(http.MethodPost, "/login", body)
		a.is(http.StatusUnauthorized)
		a.body = id.ReplaceAllString(a.body, "")
		if n == 0 {
			first = a
		}
		if a.body != first.body || len(a.header) != len(first.header) || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%v: %s %v, the first %s %v", body, a.body, a.header, first.body, first.header)
		}
	}
	if got, want := b.happened(&seen), strings.Repeat(" session.refused", 5)[1:]; got != want {
		t.Errorf("%s", got)
	}
	if n := b.rows("sessions"); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

func TestCallsOfOtherSites(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	w := b.in("anna")
	other := b.in("anna")
	for what, c := range map[string]struct {
		method string
		header map[string]string
		want   int
	}{
		"right":                    {"PATCH", map[string]string{"X-Csrf-Token": w.csrf, "Origin": b.url, "Sec-Fetch-Site": "same-origin"}, 200},
		"no browser":               {"PATCH", map[string]string{"X-Csrf-Token": w.csrf}, 200},
		"without a token":          {"PATCH", map[string]string{"Origin": b.url}, 403},
		"another's token":          {"PATCH", map[string]string{"X-Csrf-Token": other.csrf, "Origin": b.url}, 403},
		"another origin":           {"PATCH", map[string]string{"X-Csrf-Token": w.csrf, "Origin": "https://evil.test"}, 403},
		"another scheme":           {"PATCH", map[string]string{"X-Csrf-Token": w.csrf, "Origin": strings.Replace(b.url, "http:", "https:", 1)}, 403},
		"another port":             {"PATCH", map[string]string{"X-Csrf-Token": w.csrf, "Origin": "http://127.0.0.1:1"}, 403},
		"no origin":                {"PATCH", map[string]string{"X-Csrf-Token": w.csrf, "Origin": "null"}, 403},
		"another site":             {"PATCH", map[string]string{"X-Csrf-Token": w.csrf, "Sec-Fetch-Site": "cross-site"}, 403},
		"a neighbour":              {"PATCH", map[string]string{"X-Csrf-Token": w.csrf, "Sec-Fetch-Site": "same-site"}, 403},
		"reading":                  {"GET", map[string]string{}, 200},
		"reading through a link":   {"GET", map[string]string{"Sec-Fetch-Site": "cross-site"}, 200},
		"a wrong key wins":         {"GET", map[string]string{"X-Api-Key": "wrong"}, 401},
		"DELETE without a token":   {"DELETE", nil, 403},
		"DELETE from another site": {"DELETE", map[string]string{"X-Csrf-Token": w.csrf, "Origin": "https://evil.test"}, 403},
	} {
		path, body := "/session", any(nil)
		switch c.method {
		case "PATCH":
			path, body = "/me", object{}
		case "DELETE":
			path = "/me/sessions"
		}
		if a := w.raw(c.method, path, body, c.header); a.status != c.want {
			t.Errorf("%s: got %d, want %d: %s", what, a.status, c.want, a.body)
		}
	}
	for _, header := range []map[string]string{{"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}} {
		a := b.browser().raw(http.MethodPost, "/login", object{"name": "anna", "password": password}, header)
		a.is(http.StatusForbidden)
	}
	if n := b.rows("sessions"); n != 2 {
		t.Errorf("%d sessions", n)
	}
}

// A socket has no token: its origin must be there, and ours.
func TestSocketsOfOtherSites(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	w := b.in("anna")
	for origin, want := range map[string]int{"": 403, "https://evil.test": 403, "null": 403, b.url: 101} {
		header := http.Header{"Cookie": {w.cookie.Name + "=" + w.cookie.Value}}
		if origin != "" {
			header.Set("Origin", origin)
		}
		conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(b.url, "http", "ws", 1)+"/api/v1/socket", header)
		if conn != nil {
			_ = conn.Close()
		}
		if res == nil || res.StatusCode != want {
			t.Errorf("from %q: %v, %v", origin, res, err)
		}
	}
}

// A session's streams and sockets end when it does.
func TestWhatASessionOpenedEndsWithIt(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	w, other := b.in("anna"), b.in("anna")
	header := http.Header{"Cookie": {w.cookie.Name + "=" + w.cookie.Value}, "Origin": {b.url}}
	conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), strings.Replace(b.url, "http", "ws", 1)+"/api/v1/socket", header)
	if err != nil {
		t.Fatal(err, res)
	}
	defer func() { _ = conn.Close() }()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.url+"/api/v1/wait", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", header.Get("Cookie"))
	stream, err := http.DefaultClient.Do(req)
	if err != nil || stream.StatusCode != http.StatusOK {
		t.Fatal(err, stream)
	}
	defer func() { _ = stream.Body.Close() }()
	other.call(http.MethodDelete, "/me/sessions/"+w.session().Session.ID, nil).is(http.StatusOK)
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.ReadMessage(); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the socket goes on: %v", err)
	}
	if _, err := io.Copy(io.Discard, stream.Body); err != nil {
		t.Errorf("the stream didn't end well: %v", err)
	}
	w.call(http.MethodGet, "/session", nil).is(http.StatusUnauthorized)
	other.session()
}

func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	w := b.in("anna")
	for range 6 { // it is used, every 13 days
		b.clock.Add(13 * 24 * time.Hour)
		w.session()
		b.flush()
	}
	b.clock.Add(13 * 24 * time.Hour)
	w.call(http.MethodGet, "/session", nil).is(http.StatusUnauthorized) // 91 days in all
	w.login("anna", nil)
	b.clock.Add(14 * 24 * time.Hour)
	w.call(http.MethodGet, "/session", nil).is(http.StatusUnauthorized) // 14 days without use
	b.flush()
	if n := b.rows("sessions"); n != 0 {
		t.Errorf("%d sessions are kept that are over", n)
	}
}

// flush writes down what Run would, and purges.
func (b *bundle) flush() {
	login.Flush(b.t.Context(), b.svc)
}

// What takes a login's ground away ends it, and leaves those that made it so.
func TestWhatEndsOtherSessions(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	w, other := b.in("anna"), b.in("anna")
	w.call(http.MethodPost, "/me/password", object{"new_password": "another password"}).is(http.StatusOK)
	w.session()
	other.call(http.MethodGet, "/session", nil).is(http.StatusUnauthorized)
	other.call(http.MethodPost, "/login", object{"name": "anna", "password": password}).is(http.StatusUnauthorized)
	text := password
	if _, err := b.users.UpdateUser(b.ctx(), b.anna.ID, identity.UserChange{Password: &text}); err != nil {
		t.Fatal(err)
	}
	w.call(http.MethodGet, "/session", nil).is(http.StatusUnauthorized) // an admin changed it
	w, other = b.in("anna"), b.in("anna")
	w.call(http.MethodDelete, "/me/sessions", nil).is(http.StatusOK)
	w.session()
	other.call(http.MethodGet, "/session", nil).is(http.StatusUnauthorized)
	yes, no := true, false
	if _, err := b.users.UpdateUser(b.ctx(), b.anna.ID, identity.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	w.call(http.MethodGet, "/session", nil).is(http.StatusUnauthorized)
	if _, err := b.users.UpdateUser(b.ctx(), b.anna.ID, identity.UserChange{Disabled: &no}); err != nil {
		t.Fatal(err)
	}
	w.call(http.MethodGet, "/session", nil).is(http.StatusUnauthorized) // it stays ended
	w = b.in("anna")
	if err := b.users.DeleteUser(b.ctx(), b.anna.ID, identity.Refuse, ""); err != nil {
		t.Fatal(err)
	}
	w.call(http.MethodGet, "/session", nil).is(http.StatusUnauthorized)
	if n := b.rows("sessions"); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

func TestADemotionCountsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	b.user("root", true)
	boss := b.user("boss", true)
	w := b.in("boss")
	w.call(http.MethodGet, "/users", nil).is(http.StatusOK)
	no := false
	if _, err := b.users.UpdateUser(b.ctx(), boss.ID, identity.UserChange{Admin: &no}); err != nil {
		t.Fatal(err)
	}
	w.call(http.MethodGet, "/users", nil).is(http.StatusForbidden)
	w.session()
}

func TestSessionsOfOthersAreNotThere(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	b.user("bert", false)
	w, other := b.in("anna"), b.in("bert")
	id := w.session().Session.ID
	other.call(http.MethodDelete, "/me/sessions/"+id, nil).is(http.StatusNotFound)
	var list []struct {
		ID      string
		Current bool
	}
	other.call(http.MethodGet, "/me/sessions", nil).data(http.StatusOK, &list)
	if len(list) != 1 || list[0].ID == id || !list[0].Current {
		t.Errorf("%+v", list)
	}
	key, err := b.users.CreateKey(b.ctx(), identity.NewKey{User: b.anna.ID, Name: "k", Scopes: []access.Scope{access.ScopeWrite}})
	if err != nil {
		t.Fatal(err)
	}
	a := b.browser().raw(http.MethodGet, "/me/sessions", nil, map[string]string{"X-Api-Key": key.Text})
	a.is(http.StatusForbidden) // a key is no login
	w.session()
}

func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	var first, last login.Begun
	for n := range 60 {
		err := b.db.Write(t.Context(), func(tx *store.Tx) (err error) {
			last, err = b.svc.Begin(t.Context(), tx, b.anna.ID, login.ByOIDC)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			first = last
		}
		b.clock.Add(time.Second)
	}
	if n := b.rows("sessions"); n != 50 {
		t.Errorf("%d sessions", n)
	}
	if _, err := b.svc.Authenticate(t.Context(), first.Cookie); err == nil {
		t.Error("the oldest goes on")
	}
	if _, err := b.svc.Authenticate(t.Context(), last.Cookie); err != nil {
		t.Error(err)
	}
}

// Whoever guesses waits; others don't, and nothing grows.
func TestGuessing(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	b.user("bert", false)
	from := func(address string) access.Caller { return access.Caller{Actor: access.Actor{Address: address}} }
	refused := 0
	for n := range 10_000 {
		name := fmt.Sprint("name ", n%5000)
		if _, err := b.svc.Login(access.With(t.Context(), from("2001:db8::"+fmt.Sprintf("%x", n%60000))), login.Attempt{Name: name, Password: "wrong"}); err == nil {
			t.Fatal("a wrong password let somebody in")
		}
		refused++
		if n%1000 == 999 { // somebody else logs in meanwhile
			if _, err := b.svc.Login(access.With(t.Context(), from("192.0.2.7")), login.Attempt{Name: "bert", Password: password}); err != nil {
				t.Fatalf("after %d tries of a stranger: %v", refused, err)
			}
		}
	}
	if held := login.Held(b.svc); held > 100 {
		t.Errorf("%d addresses and names are held for one network", held)
	}
	if n := b.rows("events"); n > 200 {
		t.Errorf("%d events", n)
	}
}

// Many strangers at once have one of their tries each, and one right cookie each.
func TestManyLoginsAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { b.in("anna").session() })
	}
	all.Wait()
	if n := b.rows("sessions"); n != 8 {
		t.Errorf("%d sessions", n)
	}
}

func TestChangingOnesAccount(t *testing.T) {
	t.Parallel()
	b := setup(t, "")
	w := b.in("anna")
	w.call(http.MethodPatch, "/me", object{"username": "hanna", "locale": "de"}).is(http.StatusOK)
	w.call(http.MethodPatch, "/me", object{"locale": "<b>"}).is(http.StatusUnprocessableEntity)
	b.clock.Add(login.ProofLife)
	a := w.call(http.MethodPatch, "/me", object{"email": "hanna@example.test"})
	a.is(http.StatusForbidden)
	if a.details() != "proof=password" {
		t.Errorf("%s", a.body)
	}
	w.call(http.MethodPost, "/me/password", object{"new_password": "another password"}).is(http.StatusForbidden)
	w.call(http.MethodPost, "/me/prove", object{"password": "wrong"}).is(http.StatusUnprocessableEntity)
	w.call(http.MethodPatch, "/me", object{"email": "hanna@example.test"}).is(http.StatusForbidden)
	w.call(http.MethodPost, "/me/prove", object{"password": password}).is(http.StatusOK)
	w.call(http.MethodPatch, "/me", object{"email": "hanna@example.test"}).is(http.StatusOK)
	u, err := b.users.User(t.Context(), b.anna.ID)
	if err != nil || u.Username != "hanna" || u.Email != "hanna@example.test" || u.Verified {
		t.Errorf("%+v, %v", u, err)
	}
}
