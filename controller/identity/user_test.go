package identity_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

func alice() identity.NewUser {
	return identity.NewUser{Username: "alice", Email: "alice@example.test", Password: "long enough"}
}

// is says whether err is a Validation problem about the field.
func is(err error, field string) bool {
	var p *problem.Problem
	return errors.As(err, &p) && p.Code == problem.Validation && len(p.Fields) == 1 && p.Fields[0].Field == field
}

func TestBadUsersAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.seen()
	for name, tc := range map[string]struct {
		change func(*identity.NewUser)
		field  string
	}{
		"no name":                     {func(n *identity.NewUser) { n.Username = "" }, "username"},
		"a name of space":             {func(n *identity.NewUser) { n.Username = " \t " }, "username"},
		"65 characters":               {func(n *identity.NewUser) { n.Username = strings.Repeat("é", 65) }, "username"},
		"10,000 characters":           {func(n *identity.NewUser) { n.Username = strings.Repeat("x", 10_000) }, "username"},
		"a control character":         {func(n *identity.NewUser) { n.Username = "a\x00b" }, "username"},
		"a line break":                {func(n *identity.NewUser) { n.Username = "a\nb" }, "username"},
		"text direction":              {func(n *identity.NewUser) { n.Username = "a\u202eb" }, "username"},
		"not UTF-8":                   {func(n *identity.NewUser) { n.Username = "a\xff" }, "username"},
		"no address":                  {func(n *identity.NewUser) { n.Email = "" }, "email"},
		"an address without at":       {func(n *identity.NewUser) { n.Email = "alice.example.test" }, "email"},
		"an address with a name":      {func(n *identity.NewUser) { n.Email = "Alice <alice@example.test>" }, "email"},
		"two addresses":               {func(n *identity.NewUser) { n.Email = "a@example.test, b@example.test" }, "email"},
		"an address with space":       {func(n *identity.NewUser) { n.Email = " alice@example.test" }, "email"},
		"a header in the address":     {func(n *identity.NewUser) { n.Email = "a@example.test\r\nBcc: b@example.test" }, "email"},
		"an address that is too long": {func(n *identity.NewUser) { n.Email = strings.Repeat("a", 250) + "@x.test" }, "email"},
		"a quoted address":            {func(n *identity.NewUser) { n.Email = `"a b"@example.test` }, "email"},
		"a short password":            {func(n *identity.NewUser) { n.Password = "1234567" }, "password"},
		"an empty short password":     {func(n *identity.NewUser) { n.Password, n.AllowShortPassword = "", true }, "password"},
		"a huge password":             {func(n *identity.NewUser) { n.Password = strings.Repeat("x", 1025) }, "password"},
		"a long id":                   {func(n *identity.NewUser) { n.ID = ident.User(strings.Repeat("x", 65)) }, "id"},
		"an id with a tab":            {func(n *identity.NewUser) { n.ID = "a\tb" }, "id"},
		"an id with space around":     {func(n *identity.NewUser) { n.ID = " a" }, "id"},
		"an id that is a path":        {func(n *identity.NewUser) { n.ID = ".." }, "id"},
	} {
		n := alice()
		tc.change(&n)
		if _, err := b.svc.CreateUser(b.ctx(), n); !is(err, tc.field) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := b.seen(); after != before {
		t.Errorf("users, keys and events were %v and are %v", before, after)
	}
}

func TestGoodUsers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for i, n := range []identity.NewUser{
		{Username: "  trimmed  ", Email: "a1@example.test", Password: "12345678"},
		{Username: strings.Repeat("é", 64), Email: "a2@example.test", Password: "12345678"},
		{Username: "O'Brien; DROP TABLE users --", Email: "o'brien+tag@sub.example.test", Password: "12345678"},
		{ID: "100000000000000001", Username: "discord", Email: "a4@example.test", Password: "x", AllowShortPassword: true},
		{ID: "a/b?c", Username: "odd id", Email: "ä5@exämple.test", Password: strings.Repeat("x", 1024)},
	} {
		u, err := b.svc.CreateUser(b.ctx(), n)
		if err != nil {
			t.Errorf("%d: %v", i, err)
			continue
		}
		got, err := b.svc.User(b.ctx(), u.ID)
		if err != nil || got != u || got.Username != strings.TrimSpace(n.Username) || (n.ID != "" && got.ID != n.ID) {
			t.Errorf("%d: %+v, %v", i, got, err)
		}
	}
}

func TestTakenNames(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first := alice()
	first.ID = "one"
	if _, err := b.svc.CreateUser(b.ctx(), first); err != nil {
		t.Fatal(err)
	}
	before := b.seen()
	for what, n := range map[string]identity.NewUser{
		"id":       {ID: "one", Username: "x", Email: "x@example.test", Password: "12345678"},
		"username": {Username: "ALICE", Email: "x@example.test", Password: "12345678"},
		"email":    {Username: "x", Email: "Alice@Example.test", Password: "12345678"},
		// People log in by either: whose name is another's address would be taken for him.
		"this username": {Username: "ALICE@example.test", Email: "x@example.test", Password: "12345678"},
	} {
		_, err := b.svc.CreateUser(b.ctx(), n)
		if !problem.Is(err, problem.Conflict) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after := b.seen(); after != before {
		t.Errorf("%v became %v", before, after)
	}
}

func TestNobodyCallsHimselfByAnothersAddress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice, _ := b.user("alice", false, access.ScopeRead)
	mallory, _ := b.user("mallory", false, access.ScopeRead)
	hers, own := "Alice@example.test", "mallory@example.test"
	if _, err := b.svc.UpdateUser(b.local(), mallory, identity.UserChange{Username: &hers}); !problem.Is(err, problem.Conflict) {
		t.Errorf("another's address as a name: %v", err)
	}
	if u, err := b.svc.Login(b.ctx(), hers, "long enough"); err != nil || u.ID != alice {
		t.Errorf("by the address: %+v %v", u, err)
	}
	if _, err := b.svc.UpdateUser(b.local(), mallory, identity.UserChange{Username: &own}); err != nil {
		t.Errorf("his own: %v", err)
	}
}

func TestFiftyParallelCreatesOfOneUser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var made, conflicts atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			switch _, err := b.svc.CreateUser(b.ctx(), alice()); {
			case err == nil:
				made.Add(1)
			case problem.Is(err, problem.Conflict):
				conflicts.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made.Load() != 1 || conflicts.Load() != 49 {
		t.Fatalf("%d made, %d conflicts", made.Load(), conflicts.Load())
	}
	if got := b.happened(); got != "user.created key.created user.created" {
		t.Fatal(got)
	}
}

func TestFindUsers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	u, err := b.svc.CreateUser(b.ctx(), alice())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := b.svc.UserByUsername(b.ctx(), "Alice"); err != nil || got != u {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := b.svc.UserByEmail(b.ctx(), "ALICE@example.test"); err != nil || got != u {
		t.Errorf("%+v %v", got, err)
	}
	for _, name := range []string{"", "alic", "alice@example.test", "%", "alice' OR 1=1 --"} {
		if _, err := b.svc.UserByUsername(b.ctx(), name); !problem.Is(err, problem.NotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for id, want := range map[ident.User]bool{u.ID: true, "none": false} {
		if ok, err := identity.Exists(b.ctx(), b.db.Snapshot(), id); ok != want || err != nil {
			t.Errorf("%s: %v %v", id, ok, err)
		}
	}
}

func TestListUsers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, name := range []string{"carol", "Alice", "bob"} {
		if _, err := b.svc.CreateUser(b.ctx(), identity.NewUser{Username: name, Email: name + "@example.test", Password: "12345678"}); err != nil {
			t.Fatal(err)
		}
	}
	yes, no := true, false
	for name, tc := range map[string]struct {
		f     identity.UserFilter
		want  string
		total int
	}{
		"all":           {identity.UserFilter{}, "admin Alice bob carol", 4},
		"falling":       {identity.UserFilter{Sort: "-username"}, "carol bob Alice admin", 4},
		"a page":        {identity.UserFilter{Limit: 2, Offset: 1}, "Alice bob", 4},
		"beyond":        {identity.UserFilter{Limit: 2, Offset: 10}, "", 4},
		"admins":        {identity.UserFilter{Admin: &yes}, "admin", 1},
		"others":        {identity.UserFilter{Admin: &no}, "Alice bob carol", 3},
		"disabled":      {identity.UserFilter{Disabled: &yes}, "", 0},
		"search":        {identity.UserFilter{Search: "ALI"}, "Alice", 1},
		"an address":    {identity.UserFilter{Search: "bob@"}, "bob", 1},
		"a wildcard":    {identity.UserFilter{Search: "%"}, "", 0},
		"no wildcard _": {identity.UserFilter{Search: "b_b"}, "", 0},
	} {
		list, total, err := b.svc.Users(b.ctx(), tc.f)
		var names []string
		for _, u := range list {
			names = append(names, u.Username)
		}
		if got := strings.Join(names, " "); err != nil || got != tc.want || total != tc.total {
			t.Errorf("%s: %q of %d, %v", name, got, total, err)
		}
	}
	for _, sort := range []string{"-", "id", "password_hash", "username; DROP TABLE users", "--username"} {
		if _, _, err := b.svc.Users(b.ctx(), identity.UserFilter{Sort: sort}); !is(err, "sort") {
			t.Errorf("%q: %v", sort, err)
		}
	}
}

func TestUpdateUser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	u, err := b.svc.CreateUser(b.ctx(), alice())
	if err != nil {
		t.Fatal(err)
	}
	b.clock.add(5e9)
	name, email, password, yes := " Alicia ", "alicia@example.test", "even longer", true
	got, err := b.svc.UpdateUser(b.local(), u.ID, identity.UserChange{Username: &name, Email: &email, Password: &password, Admin: &yes, Verified: &yes})
	if err != nil {
		t.Fatal(err)
	}
	want := identity.User{ID: u.ID, Username: "Alicia", Email: email, Admin: true, Verified: true, Created: u.Created, Updated: u.Updated.Add(5e9)}
	if got != want {
		t.Errorf("%+v", got)
	}
	if _, err := b.svc.Login(b.ctx(), "alicia", password); err != nil {
		t.Errorf("the new password: %v", err)
	}
	before := b.seen()
	same := "Alicia"
	if _, err := b.svc.UpdateUser(b.ctx(), u.ID, identity.UserChange{Username: &same, Admin: &yes}); err != nil {
		t.Error(err)
	}
	if after := b.seen(); after != before {
		t.Error("a change of nothing was an event")
	}
	taken, bad, short := "ADMIN", "nobody", "short"
	for what, tc := range map[string]struct {
		id ident.User
		c  identity.UserChange
		ok func(error) bool
	}{
		"a taken name":     {u.ID, identity.UserChange{Username: &taken}, func(err error) bool { return problem.Is(err, problem.Conflict) }},
		"a bad address":    {u.ID, identity.UserChange{Email: &bad}, func(err error) bool { return is(err, "email") }},
		"a short password": {u.ID, identity.UserChange{Password: &short}, func(err error) bool { return is(err, "password") }},
		"nobody":           {"none", identity.UserChange{Password: &password}, func(err error) bool { return problem.Is(err, problem.NotFound) }},
	} {
		if _, err := b.svc.UpdateUser(b.ctx(), tc.id, tc.c); !tc.ok(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after := b.seen(); after != before {
		t.Error("a refused change left something behind")
	}
}

func TestTheLastAdminStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	yes, no := true, false
	attempts := map[string]func() error{
		"demote": func() error {
			_, err := b.svc.UpdateUser(b.ctx(), b.admin, identity.UserChange{Admin: &no})
			return err
		},
		"disable": func() error {
			_, err := b.svc.UpdateUser(b.ctx(), b.admin, identity.UserChange{Disabled: &yes})
			return err
		},
		"delete": func() error { return b.svc.DeleteUser(b.ctx(), b.admin, identity.Refuse, "") },
	}
	other, _ := b.user("other", true, access.ScopeAdmin)
	if _, err := b.svc.UpdateUser(b.ctx(), other, identity.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err) // a disabled admin is none to rely on
	}
	before := b.seen()
	for what, try := range attempts {
		if err := try(); !problem.Is(err, problem.Conflict) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after := b.seen(); after != before {
		t.Errorf("%v became %v", before, after)
	}
	if _, err := b.svc.UpdateUser(b.ctx(), other, identity.UserChange{Disabled: &no}); err != nil {
		t.Fatal(err)
	}
	if err := attempts["demote"](); err != nil {
		t.Fatalf("with another admin: %v", err)
	}
	if _, err := b.svc.UpdateUser(b.ctx(), other, identity.UserChange{Admin: &no}); !problem.Is(err, problem.Conflict) {
		t.Fatalf("now the other is the last: %v", err)
	}
}

func TestTwoAdminsCannotRemoveEachOtherAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other, _ := b.user("other", true, access.ScopeAdmin)
	no := false
	var done atomic.Int64
	var wg sync.WaitGroup
	for _, id := range []ident.User{b.admin, other} {
		wg.Go(func() {
			if _, err := b.svc.UpdateUser(b.ctx(), id, identity.UserChange{Admin: &no}); err == nil {
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if done.Load() != 1 {
		t.Fatalf("%d of the two were demoted", done.Load())
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	u, err := b.svc.CreateUser(b.ctx(), alice())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "ALICE", "alice@example.test"} {
		if got, err := b.svc.Login(b.ctx(), name, "long enough"); err != nil || got != u {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	for name, password := range map[string]string{
		"alice": "long enougH", "nobody": "long enough", "": "long enough", "ALICE@example.test": "", "admin": strings.Repeat("x", 2000),
	} {
		if _, err := b.svc.Login(b.ctx(), name, password); !problem.Is(err, problem.Unauthorized) || err.Error() != "the name or the password is wrong" {
			t.Errorf("%s: %v", name, err)
		}
	}
	yes := true
	if _, err := b.svc.UpdateUser(b.ctx(), u.ID, identity.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.Login(b.ctx(), "alice", "long enough"); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("disabled: %v", err)
	}
}

func TestPasswordsAreStoredAsTheyShould(t *testing.T) {
	t.Parallel()
	b := costly(t)
	if _, err := b.svc.CreateUser(b.ctx(), alice()); err != nil {
		t.Fatal(err)
	}
	hashes, err := store.Collect(b.ctx(), b.db.Snapshot(), func(row func(...any) error) (s string, err error) { return s, row(&s) }, `SELECT password_hash FROM users`)
	if err != nil || len(hashes) != 2 {
		t.Fatal(hashes, err)
	}
	for _, h := range hashes {
		if !strings.HasPrefix(h, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(h, "long enough") {
			t.Error(h)
		}
	}
	n, err := store.Count(b.ctx(), b.db.Snapshot(), `SELECT COUNT(*) FROM events WHERE instr(data, 'long enough') OR instr(data, ?) OR instr(data, 'argon2')`, adminKey)
	if err != nil || n != 0 {
		t.Errorf("%d events hold a secret, %v", n, err)
	}
}

func TestHashingHonoursTheContext(t *testing.T) {
	t.Parallel()
	b := costly(t)
	ctx, cancel := context.WithCancel(b.ctx())
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			n := alice()
			n.Username, n.Email = fmt.Sprint("u", i), fmt.Sprint("u", i, "@example.test")
			if _, err := b.svc.CreateUser(ctx, n); err != nil && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	cancel()
	wg.Wait()
}
