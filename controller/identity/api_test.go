package identity_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), // idle connections of the tests' client
		goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends at its next tick
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
		goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"),
	)
}

const aliceBody = `{"username":"alice","email":"alice@example.test","password":"long enough"}`

func TestRulesOfEveryRoute(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var table []string
	for _, r := range b.api.Routes() {
		if !r.Hidden {
			table = append(table, fmt.Sprintf("%s %s %s", r.Method, r.Path, r.Access))
		}
	}
	want := strings.Join([]string{
		"GET /api/v1/keys user with read",
		"POST /api/v1/keys user with write",
		"DELETE /api/v1/keys/{id} user with write",
		"GET /api/v1/keys/{id} user with read",
		"PATCH /api/v1/keys/{id} user with write",
		"GET /api/v1/me user with read",
		"GET /api/v1/permissions user with read",
		"GET /api/v1/roles permission users.read",
		"POST /api/v1/roles permission roles.write",
		"DELETE /api/v1/roles/{id} permission roles.write",
		"GET /api/v1/roles/{id} permission users.read",
		"PATCH /api/v1/roles/{id} permission roles.write",
		"GET /api/v1/users permission users.read",
		"POST /api/v1/users permission users.write",
		"DELETE /api/v1/users/{id} permission users.write",
		"GET /api/v1/users/{id} permission users.read",
		"PATCH /api/v1/users/{id} permission users.write",
		"GET /api/v1/users/{id}/ssh-keys user with read",
		"POST /api/v1/users/{id}/ssh-keys user with write",
		"DELETE /api/v1/users/{id}/ssh-keys/{key} user with write",
	}, "\n")
	if got := strings.Join(table, "\n"); got != want {
		t.Errorf("got\n%s\nwanted\n%s", got, want)
	}
}

func TestUserLifeOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t).serve()
	a := b.do(adminKey, "POST", "/api/v1/users", aliceBody)
	var u identity.UserView
	a.read(t, &u)
	if a.status != 201 || len(u.ID) != 36 || u.Username != "alice" || u.Email != "alice@example.test" || u.Admin || u.Verified || u.Disabled || !u.CreatedAt.Equal(b.clock.now()) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if strings.Contains(a.body, "long enough") || strings.Contains(a.body, "argon2") || strings.Contains(a.body, "password") {
		t.Fatalf("a secret is in the answer: %s", a.body)
	}
	path := "/api/v1/users/" + string(u.ID)
	var got identity.UserView
	b.do(adminKey, "GET", path, "").read(t, &got)
	if got != u {
		t.Errorf("%+v", got)
	}
	a = b.do(adminKey, "PATCH", path, `{"disabled":true,"verified":true,"email":"new@example.test"}`)
	a.read(t, &got)
	if a.status != 200 || !got.Disabled || !got.Verified || got.Email != "new@example.test" || got.Username != "alice" {
		t.Errorf("%d %s", a.status, a.body)
	}
	a = b.do(adminKey, "GET", "/api/v1/users?disabled=true&sort=-email&search=new", "")
	if a.status != 200 || !strings.Contains(a.body, `"total":1`) || !strings.Contains(a.body, string(u.ID)) {
		t.Errorf("%d %s", a.status, a.body)
	}
	a = b.do(adminKey, "DELETE", path, "")
	if a.status != 200 || a.body != `{"success":true,"data":{},"message":"the user is deleted"}` {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if a = b.do(adminKey, method, path, ""); a.status != 404 {
			t.Errorf("%s afterwards: %d %s", method, a.status, a.body)
		}
	}
	if got := b.happened(); got != "user.created key.created user.created user.updated user.deleted" {
		t.Error(got)
	}
}

func TestOddIDsOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t).serve()
	a := b.do(adminKey, "POST", "/api/v1/users", `{"id":"a/b c","username":"odd","email":"odd@example.test","password":"long enough"}`)
	if a.status != 201 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a = b.do(adminKey, "GET", "/api/v1/users/a%2Fb%20c", ""); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, id := range []string{"..%2f..%2fetc%2fpasswd", "'%20OR%201=1%20--", "%00", "%ff", strings.Repeat("x", 5000)} {
		if a = b.do(adminKey, "GET", "/api/v1/users/"+id, ""); a.status != 404 {
			t.Errorf("%.40s: %d %s", id, a.status, a.body)
		}
	}
}

func TestBadUserInputOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t).serve()
	before := b.seen()
	user := func(field, value string) string {
		m := map[string]string{"username": `"x"`, "email": `"x@example.test"`, "password": `"long enough"`}
		m[field] = value
		var parts []string
		for k, v := range m {
			if v != "" {
				parts = append(parts, fmt.Sprintf("%q:%s", k, v))
			}
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	for _, tc := range []struct {
		method, path, body string
		status             int
		code, field        string
	}{
		{"POST", "/users", ``, 400, "BAD_REQUEST", ""},
		{"POST", "/users", `x`, 400, "BAD_REQUEST", ""},
		{"POST", "/users", `{}`, 422, "VALIDATION_ERROR", "email"},
		{"POST", "/users", user("username", ``), 422, "VALIDATION_ERROR", "username"},
		{"POST", "/users", user("username", `""`), 422, "VALIDATION_ERROR", "username"},
		{"POST", "/users", user("username", `5`), 422, "VALIDATION_ERROR", "username"},
		{"POST", "/users", user("username", `"a\u0000b"`), 422, "VALIDATION_ERROR", "username"},
		{"POST", "/users", user("username", `"`+strings.Repeat("x", 10_000)+`"`), 422, "VALIDATION_ERROR", "username"},
		{"POST", "/users", user("email", `"nobody"`), 422, "VALIDATION_ERROR", "email"},
		{"POST", "/users", user("password", `"short"`), 422, "VALIDATION_ERROR", "password"},
		{"POST", "/users", user("admin", `"yes"`), 422, "VALIDATION_ERROR", "admin"},
		{"POST", "/users", user("root", `true`), 422, "VALIDATION_ERROR", "root"},
		{"POST", "/users", user("id", `"a\nb"`), 422, "VALIDATION_ERROR", "id"},
		{"POST", "/users", user("username", `"ADMIN"`), 409, "CONFLICT", ""},
		{"GET", "/users?page=0", ``, 422, "VALIDATION_ERROR", "page"},
		{"GET", "/users?limit=501", ``, 422, "VALIDATION_ERROR", "limit"},
		{"GET", "/users?sort=password_hash", ``, 422, "VALIDATION_ERROR", "sort"},
		{"GET", "/users?admin=maybe", ``, 422, "VALIDATION_ERROR", "admin"},
		{"GET", "/users/none", ``, 404, "NOT_FOUND", ""},
		{"PATCH", "/users/none", `{}`, 404, "NOT_FOUND", ""},
		{"PATCH", "/users/" + string(b.admin), `{"admin":false}`, 409, "CONFLICT", ""},
		{"PATCH", "/users/" + string(b.admin), `{"email":""}`, 422, "VALIDATION_ERROR", "email"},
		{"DELETE", "/users/" + string(b.admin), ``, 409, "CONFLICT", ""},
		{"DELETE", "/users/none?instances=burn", ``, 422, "VALIDATION_ERROR", "instances"},
		{"DELETE", "/users/none?instances=transfer", ``, 422, "VALIDATION_ERROR", "to"},
		{"PUT", "/users", `{}`, 405, "METHOD_NOT_ALLOWED", ""},
		{"POST", "/keys", `{"name":"x"}`, 422, "VALIDATION_ERROR", "scopes"},
		{"POST", "/keys", `{"name":"x","scopes":[]}`, 422, "VALIDATION_ERROR", "scopes"},
		{"POST", "/keys", `{"name":"x","scopes":"read"}`, 422, "VALIDATION_ERROR", "scopes"},
		{"POST", "/keys", `{"name":"x","scopes":["root"]}`, 422, "VALIDATION_ERROR", "scopes[0]"},
		{"POST", "/keys", `{"name":"","scopes":["read"]}`, 422, "VALIDATION_ERROR", "name"},
		{"POST", "/keys", `{"name":"x","scopes":["read"],"dialect":"v9"}`, 422, "VALIDATION_ERROR", "dialect"},
		{"POST", "/keys", `{"name":"x","scopes":["read"],"rate_limit":-1}`, 422, "VALIDATION_ERROR", "rate_limit"},
		{"POST", "/keys", `{"name":"x","scopes":["read"],"expires_at":"tomorrow"}`, 422, "VALIDATION_ERROR", "expires_at"},
		{"POST", "/keys", `{"name":"x","scopes":["read"],"expires_at":"2020-01-01T00:00:00Z"}`, 422, "VALIDATION_ERROR", "expires_at"},
		{"POST", "/keys", `{"name":"x","scopes":["read"],"user_id":"none"}`, 422, "VALIDATION_ERROR", "user_id"},
		{"GET", "/keys/none", ``, 404, "NOT_FOUND", ""},
		{"PATCH", "/keys/none", `{"name":"x"}`, 404, "NOT_FOUND", ""},
		{"PATCH", "/keys/none", `{"rate_limit":"many"}`, 422, "VALIDATION_ERROR", "rate_limit"},
		{"DELETE", "/keys/none", ``, 404, "NOT_FOUND", ""},
	} {
		a := b.do(adminKey, tc.method, "/api/v1"+tc.path, tc.body)
		if code, field := a.code(t); a.status != tc.status || code != tc.code || field != tc.field {
			t.Errorf("%s %s %.80s: %d %s %q: %.300s", tc.method, tc.path, tc.body, a.status, code, field, a.body)
		}
	}
	if after := b.seen(); after != before {
		t.Errorf("%v became %v", before, after)
	}
}

func TestWhoMayDoWhatOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t).serve()
	alice, write := b.user("alice", false, access.ScopeWrite)
	_, bob := b.user("bob", false, access.ScopeRead)
	_, adminReads := b.user("auditor", true, access.ScopeRead)
	var bobs identity.MeView
	b.do(bob, "GET", "/api/v1/me", "").read(t, &bobs)
	before := b.seen()
	for _, tc := range []struct {
		name, key, method, path, body string
		status                        int
	}{
		{"no key", "", "GET", "/users", "", 401},
		{"a wrong key", "berth_wrong", "GET", "/users", "", 401},
		{"a user lists users", write, "GET", "/users", "", 403},
		{"a user reads himself as an admin would", write, "GET", "/users/" + string(alice), "", 403},
		{"a user makes a user", write, "POST", "/users", aliceBody, 403},
		{"a user makes himself an admin", write, "PATCH", "/users/" + string(alice), `{"admin":true}`, 403},
		{"an auditor makes a user", adminReads, "POST", "/users", aliceBody, 403},
		{"an auditor lists users", adminReads, "GET", "/users", "", 200},
		{"a reader makes a key", bob, "POST", "/keys", `{"name":"x","scopes":["read"]}`, 403},
		{"a user makes a stronger key", write, "POST", "/keys", `{"name":"x","scopes":["admin"]}`, 403},
		{"a user reads another's key", write, "GET", "/keys/" + string(bobs.Key.ID), "", 404},
		{"a user revokes another's key", write, "DELETE", "/keys/" + string(bobs.Key.ID), "", 404},
		{"a user changes another's key", write, "PATCH", "/keys/" + string(bobs.Key.ID), `{"name":"x"}`, 404},
		{"a user lists another's keys", write, "GET", "/keys?user_id=" + string(bobs.User.ID), "", 200},
	} {
		a := b.do(tc.key, tc.method, "/api/v1"+tc.path, tc.body)
		if a.status != tc.status {
			t.Errorf("%s: %d %s", tc.name, a.status, a.body)
		}
		if tc.name == "a user lists another's keys" && !strings.Contains(a.body, `"data":[]`) {
			t.Errorf("%s: %s", tc.name, a.body)
		}
	}
	if after := b.seen(); after != before {
		t.Errorf("%v became %v", before, after)
	}
}

func TestMe(t *testing.T) {
	t.Parallel()
	b := setup(t).serve()
	id, text := b.user("alice", false, access.ScopeRead)
	var me identity.MeView
	a := b.do(text, "GET", "/api/v1/me", "")
	a.read(t, &me)
	if me.Via != access.ViaKey || me.Admin || me.User.ID != id || me.Key.UserID != id || me.Key.Name != "alice" || strings.Contains(a.body, text) {
		t.Fatalf("%s", a.body)
	}
}

func TestKeyLifeOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t).serve()
	at := b.clock.now().Add(time.Hour).Format(time.RFC3339)
	body := `{"name":"mine","scopes":["write"],"dialect":"v0.3","rate_limit":30,"expires_at":"` + at + `"}`
	a := b.do(adminKey, "POST", "/api/v1/keys", body, "Idempotency-Key", "k")
	var k identity.KeyIssuedView
	a.read(t, &k)
	if a.status != 201 || !strings.HasPrefix(k.Key, "berth_") || k.UserID != b.admin || *k.RateLimit != 30 || k.Dialect != access.V03 || k.ExpiresAt.Format(time.RFC3339) != at || k.LastUsedAt != nil || !strings.Contains(a.body, `"message":`) {
		t.Fatalf("%d %s", a.status, a.body)
	}
	again := b.do(adminKey, "POST", "/api/v1/keys", body, "Idempotency-Key", "k")
	var replay identity.KeyIssuedView
	again.read(t, &replay)
	if again.status != 201 || replay.Key != "" || replay.ID != k.ID || strings.Contains(again.body, k.Key) {
		t.Fatalf("%d %s", again.status, again.body)
	}
	n, err := store.Count(b.ctx(), b.db.Snapshot(), `SELECT COUNT(*) FROM idempotent_answers WHERE instr(body, ?)`, k.Key)
	if err != nil || n != 0 {
		t.Fatalf("the key is stored, %v", err)
	}
	path := "/api/v1/keys/" + string(k.ID)
	if a = b.do(k.Key, "GET", path, ""); a.status != 200 || a.header.Get("X-RateLimit-Limit") != "30" || strings.Contains(a.body, k.Key) {
		t.Fatalf("%d %v %s", a.status, a.header, a.body)
	}
	var v identity.KeyView
	b.do(adminKey, "PATCH", path, `{"name":"renamed","rate_limit":null,"expires_at":null}`).read(t, &v)
	if v.Name != "renamed" || v.RateLimit != nil || v.ExpiresAt != nil || v.Scopes[0] != access.ScopeWrite {
		t.Fatalf("%+v", v)
	}
	if a = b.do(adminKey, "DELETE", path, ""); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a = b.do(k.Key, "GET", "/api/v1/me", ""); a.status != 401 {
		t.Fatalf("a revoked key: %d %s", a.status, a.body)
	}
	if a = b.do(adminKey, "DELETE", path, ""); a.status != 404 {
		t.Fatalf("a second time: %d", a.status)
	}
}

func TestDisablingShutsKeysOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t).serve()
	id, text := b.user("alice", false, access.ScopeRead)
	if a := b.do(text, "GET", "/api/v1/me", ""); a.status != 200 {
		t.Fatal(a.body)
	}
	b.do(adminKey, "PATCH", "/api/v1/users/"+string(id), `{"disabled":true}`)
	if a := b.do(text, "GET", "/api/v1/me", ""); a.status != 401 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	b.do(adminKey, "PATCH", "/api/v1/users/"+string(id), `{"disabled":false}`)
	if a := b.do(text, "GET", "/api/v1/me", ""); a.status != 200 {
		t.Fatalf("enabled again: %d %s", a.status, a.body)
	}
}

func TestFiftyParallelCreatesOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t).serve()
	var made, conflicts atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch a := b.do(adminKey, "POST", "/api/v1/users", aliceBody); a.status {
			case 201:
				made.Add(1)
			case 409:
				conflicts.Add(1)
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 || conflicts.Load() != 49 || b.seen() != [3]int{2, 1, 3} {
		t.Fatalf("%d made, %d conflicts, %v", made.Load(), conflicts.Load(), b.seen())
	}
}

func TestTwoHundredParallelUsersOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t).serve()
	var wg sync.WaitGroup
	var mu sync.Mutex
	ids := map[ident.User]bool{}
	for i := range 200 {
		wg.Go(func() {
			a := b.do(adminKey, "POST", "/api/v1/users", fmt.Sprintf(`{"username":"u%d","email":"u%d@example.test","password":"long enough"}`, i, i))
			var u identity.UserView
			if a.status != 201 {
				t.Errorf("%d: %d %s", i, a.status, a.body)
				return
			}
			a.read(t, &u)
			mu.Lock()
			ids[u.ID] = true
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(ids) != 200 || b.seen()[0] != 201 {
		t.Fatalf("%d ids, %v", len(ids), b.seen())
	}
}
