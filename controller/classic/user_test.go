package classic_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/berth-panel/berth/controller/access"
)

func TestCreateUser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.post(adminKey, "/api/auth/create-user", object{"username": "anna", "email": "anna@example.org", "password": "pw", "userId": "100000000000000001"}).
		is(201, `{"userId":"100000000000000001","username":"anna","email":"anna@example.org","admin":false}`)
	made := b.post(adminKey, "/api/auth/create-user", object{"username": "ben", "email": "ben@example.org", "password": "pw", "admin": true}).object(201)
	if made["userId"] == "" || made["admin"] != true || len(made) != 4 {
		t.Errorf("got %v", made)
	}
	for _, odd := range []any{"true", 1, "1", false, nil, object{}} {
		name := fmt.Sprintf("odd%T%v", odd, odd)
		name = strings.Map(func(r rune) rune {
			if strings.ContainsRune("{}<>[] ", r) {
				return -1
			}
			return r
		}, name)
		made := b.post(adminKey, "/api/auth/create-user", object{"username": name, "email": name + "@example.org", "password": "pw", "admin": odd}).object(201)
		if made["admin"] != false {
			t.Errorf("admin: %#v made an admin", odd)
		}
	}
	if u := must(b.users.UserByUsername(t.Context(), "anna"))(t); u.Verified {
		t.Error("a new user's address counts as verified")
	}
	if _, err := b.users.Login(t.Context(), "anna", "pw"); err != nil {
		t.Errorf("log in with the password that was set: %v", err)
	}
}

func TestCreateUserRefusals(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.post(adminKey, "/api/auth/create-user", object{"username": "anna", "email": "anna@example.org", "password": "pw", "userId": "1"}).object(201)
	before := b.rows("users")
	full := func(change object) object {
		o := object{"username": "new", "email": "new@example.org", "password": "pw"}
		maps.Copy(o, change)
		return o
	}
	const missing = "Username, email, and password are required"
	for _, c := range []struct {
		body   any
		status int
		text   string
	}{
		{nil, 400, missing}, {`{}`, 400, missing}, {full(object{"username": ""}), 400, missing}, {full(object{"email": nil}), 400, missing},
		{object{"username": "a", "email": "a@example.org"}, 400, missing},
		{full(object{"username": "anna"}), 409, "User already exists"}, {full(object{"username": "ANNA"}), 409, "User already exists"},
		{full(object{"email": "Anna@example.org"}), 409, "User already exists"}, {full(object{"userId": "1"}), 409, "User already exists"},
		{full(object{"email": "nobody"}), 400, "email: isn't an address like name@example.org"},
		{full(object{"email": "a@b@c"}), 400, "email: isn't an address like name@example.org"},
		{full(object{"email": "New <new@example.org>"}), 400, "email: isn't an address like name@example.org"},
		{full(object{"userId": 1}), 400, "userId: must be text"}, {full(object{"username": 5}), 400, "username: must be text"},
		{full(object{"email": []string{"a@example.org"}}), 400, "email: must be text"}, {full(object{"password": true}), 400, "password: must be text"},
		{full(object{"username": "a\u0000b"}), 400, "username: only printable characters"}, {full(object{"username": "a\nb"}), 400, "username: only printable characters"},
		{full(object{"username": strings.Repeat("x", 10000)}), 400, "username: at most 64 characters"},
		{full(object{"userId": strings.Repeat("x", 65)}), 400, "userId: at most 64 characters"},
		{full(object{"userId": ".."}), 400, "userId: no space around it, and neither . nor .."},
		{full(object{"userId": "a\u0007"}), 400, "userId: only printable characters"},
		{full(object{"password": strings.Repeat("x", 1025)}), 400, "password: 1 to 1024 bytes"},
	} {
		b.post(adminKey, "/api/auth/create-user", c.body).says(c.status, c.text)
	}
	if after := b.rows("users"); after != before {
		t.Errorf("%d users are left of refused calls", after-before)
	}
}

func TestGetUserInBothDialects(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.post(adminKey, "/api/auth/create-user", object{"username": "anna", "email": "anna@example.org", "password": "pw", "userId": "7"}).object(201)
	const view = `{"userId":"7","username":"anna","email":"anna@example.org","accessTo":[],"admin":false,"verified":false}`
	const both, kind = "Type and value are required", `Invalid search type. Use "email" or "username".`
	for key, c := range map[string]struct{ found, miss int }{adminKey: {201, 400}, b.v03: {200, 404}} {
		get := func(v any) answer { return b.post(key, "/api/getUser", v) }
		get(object{"type": "username", "value": "anna"}).is(c.found, view)
		get(object{"type": "email", "value": "anna@example.org"}).is(c.found, view)
		get(object{"type": "username", "value": "Anna"}).is(c.found, view)
		get(object{"type": "username", "value": "nobody"}).says(c.miss, "User not found")
		get(object{"type": "email", "value": "anna"}).says(c.miss, "User not found")
		get(object{"type": "email", "value": "' OR 1=1 --"}).says(c.miss, "User not found")
		for _, v := range []any{nil, `{}`, object{"type": "email"}, object{"value": "anna"}, object{"type": "", "value": "x"}, object{"type": "email", "value": nil}} {
			get(v).says(400, both)
		}
		get(object{"type": "userId", "value": "7"}).says(400, kind)
		get(object{"type": "Email", "value": "anna@example.org"}).says(400, kind)
		get(object{"type": 5, "value": "x"}).says(400, kind)
		get(object{"type": "username", "value": 7}).says(400, "value: must be text")
		get(object{"type": "username", "value": object{"$ne": ""}}).says(400, "value: must be text")
	}
}

func TestUsersHaveTheirInstancesAndNoSecrets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	anna, ben := b.user("anna"), b.user("ben")
	h := b.host("one")
	first, second := b.deploy(h, anna, 30001), b.deploy(h, anna, 30002)
	b.deploy(h, b.admin, 30003)
	check := func(want map[string][]any) {
		t.Helper()
		for _, u := range b.get(adminKey, "/api/users").list(200) {
			names := slices.Sorted(maps.Keys(u))
			if !slices.Equal(names, []string{"accessTo", "admin", "email", "userId", "username", "verified"}) {
				t.Errorf("a user has the fields %v", names)
			}
			if ids, asked := want[u["userId"].(string)]; asked && !slices.Equal(u["accessTo"].([]any), ids) {
				t.Errorf("%v has access to %v, want %v", u["username"], u["accessTo"], ids)
			}
		}
	}
	check(map[string][]any{string(anna): {first, second}, string(ben): {}})
	if got := b.post(adminKey, "/api/getUser", object{"type": "username", "value": "anna"}).object(201)["accessTo"]; !slices.Equal(got.([]any), []any{first, second}) {
		t.Errorf("getUser: anna has access to %v", got)
	}
	b.delete(adminKey, "/api/instance/delete", object{"id": first}).object(201)
	check(map[string][]any{string(anna): {second}, string(ben): {}})
	all := b.get(adminKey, "/api/users").body
	for _, secret := range []string{"argon2", "password", "hash", adminKey, b.v03} {
		if strings.Contains(all, secret) {
			t.Errorf("the users hold %q: %s", secret, all)
		}
	}
	if b.get(adminKey, "/api/users").list(200)[0]["username"] != "admin" {
		t.Error("the oldest user doesn't come first")
	}
	// A user made since is there at once.
	b.post(adminKey, "/api/auth/create-user", object{"username": "late", "email": "late@example.org", "password": "pw"}).object(201)
	if !strings.Contains(b.get(adminKey, "/api/users").body, `"username":"late"`) {
		t.Error("a new user isn't in the list")
	}
}

// Fifty times the same at once: one user, and everybody else is told.
func TestCreateUserAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.rows("users")
	got := map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for n := range 50 {
		all.Go(func() {
			a, err := b.send(adminKey, http.MethodPost, "/api/auth/create-user", fmt.Sprintf(`{"username":"same","email":"same@example.org","password":"pw%d"}`, n))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if a.status == 201 {
				a.body = ""
			}
			got[fmt.Sprint(a.status, a.body)]++
		})
	}
	all.Wait()
	if want := map[string]int{"201": 1, `409{"error":"User already exists"}`: 49}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if made := b.rows("users") - before; made != 1 {
		t.Errorf("%d users were made", made)
	}
}

func TestCreateManyUsersAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.rows("users")
	var all sync.WaitGroup
	for n := range 200 {
		all.Go(func() {
			a, err := b.send(adminKey, http.MethodPost, "/api/auth/create-user", fmt.Sprintf(`{"username":"u%d","email":"u%d@example.org","password":"pw"}`, n, n))
			if err != nil || a.status != 201 {
				t.Errorf("user %d: %d %s %v", n, a.status, a.body, err)
			}
		})
	}
	all.Wait()
	if made := b.rows("users") - before; made != 200 {
		t.Errorf("%d users were made", made)
	}
	if listed := len(b.get(adminKey, "/api/users").list(200)); listed != before+200 {
		t.Errorf("%d users are listed", listed)
	}
}

// Nobody learns from reset-password whether there is such a user.
func TestResetPasswordTellsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.user("anna")
	const text = "Passwords can't be reset by mail: mail is not set up on this panel; an admin can set a new password"
	for _, email := range []string{"anna@example.org", "nobody@example.org", "no address"} {
		b.post(adminKey, "/api/auth/reset-password", object{"email": email}).says(400, text)
	}
	b.post(adminKey, "/api/auth/reset-password", nil).says(400, "Email is required")
	b.post(adminKey, "/api/auth/reset-password", object{"email": 5}).says(400, "email: must be text")
	if _, err := b.users.Login(t.Context(), "anna", "long enough"); err != nil {
		t.Errorf("the password has changed: %v", err)
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.get(adminKey, "/api/name").is(200, `{"name":"Berth"}`)
	b.get(b.key(b.user("anna"), access.Documented, access.ScopeRead), "/api/name").is(200, `{"name":"Berth"}`)
}
