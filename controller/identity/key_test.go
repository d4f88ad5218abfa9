package identity_test

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, text := b.user("alice", false, access.ScopeRead, access.ScopeWrite)
	c, err := b.svc.Authenticate(b.ctx(), text)
	if err != nil {
		t.Fatal(err)
	}
	if c.User != id || c.Username != "alice" || c.Admin || c.Via != access.ViaKey || !c.Has(access.ScopeWrite) || c.Has(access.ScopeAdmin) || c.Dialect != access.Documented || c.RateLimit != nil {
		t.Errorf("%+v", c)
	}
	for _, wrong := range []string{"", "x", text + "x", text[:len(text)-1], strings.ToUpper(text), "' OR 1=1 --"} {
		if _, err := b.svc.Authenticate(b.ctx(), wrong); !problem.Is(err, problem.Unauthorized) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	yes := true
	if _, err := b.svc.UpdateUser(b.ctx(), id, identity.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.Authenticate(b.ctx(), text); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("of a disabled user: %v", err)
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := b.clock.now().Add(time.Hour)
	k, err := b.svc.CreateKey(b.as(adminKey), identity.NewKey{Name: "short", Scopes: []access.Scope{access.ScopeRead}, Expires: &at})
	if err != nil {
		t.Fatal(err)
	}
	b.clock.add(time.Hour - time.Millisecond)
	if _, err := b.svc.Authenticate(b.ctx(), k.Text); err != nil {
		t.Fatalf("a moment before: %v", err)
	}
	b.clock.add(time.Millisecond)
	if _, err := b.svc.Authenticate(b.ctx(), k.Text); !problem.Is(err, problem.Unauthorized) {
		t.Fatalf("at its end: %v", err)
	}
}

func TestKeyTextIsNowhere(t *testing.T) {
	t.Parallel()
	b := setup(t)
	k, err := b.svc.CreateKey(b.as(adminKey), identity.NewKey{Name: "mine", Scopes: []access.Scope{access.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(k.Text, "berth_") || len(k.Text) != len("berth_")+43 || !strings.HasPrefix(k.Text, k.Hint) || len(k.Hint) != 10 {
		t.Errorf("%q, hint %q", k.Text, k.Hint)
	}
	hashes, err := store.Collect(b.ctx(), b.db.Snapshot(), func(row func(...any) error) (h []byte, err error) { return h, row(&h) }, `SELECT hash FROM api_keys WHERE id = ?`, string(k.ID))
	if sum := sha256.Sum256([]byte(k.Text)); err != nil || string(hashes[0]) != string(sum[:]) {
		t.Errorf("%x %v", hashes, err)
	}
	n, err := store.Count(b.ctx(), b.db.Snapshot(), `SELECT COUNT(*) FROM api_keys, events WHERE instr(events.data || name || hint || api_keys.id, ?)`, k.Text[10:])
	if err != nil || n != 0 {
		t.Errorf("the text is in %d rows, %v", n, err)
	}
}

func TestBadKeysAreRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	past, ctx := b.clock.now(), b.as(adminKey)
	minus, much := -1, 1_000_001
	read := []access.Scope{access.ScopeRead}
	plain, _ := b.user("plain", false, access.ScopeRead)
	before := b.seen()
	for field, n := range map[string]identity.NewKey{
		"name":       {Scopes: read},
		"scopes":     {Name: "x"},
		"dialect":    {Name: "x", Scopes: read, Dialect: "v9"},
		"rate_limit": {Name: "x", Scopes: read, RateLimit: &minus},
		"expires_at": {Name: "x", Scopes: read, Expires: &past},
		"user_id":    {Name: "x", Scopes: read, User: "none"},
	} {
		if _, err := b.svc.CreateKey(ctx, n); !is(err, field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	for field, n := range map[string]identity.NewKey{
		"name":       {Name: "a\nb", Scopes: read},
		"scopes":     {Name: "x", Scopes: []access.Scope{"root"}},
		"rate_limit": {Name: "x", Scopes: read, RateLimit: &much},
	} {
		if _, err := b.svc.CreateKey(ctx, n); !is(err, field) {
			t.Errorf("%s: %v", field, err)
		}
	}
	if _, err := b.svc.CreateKey(ctx, identity.NewKey{Name: "x", User: plain, Scopes: []access.Scope{access.ScopeAdmin}}); !is(err, "scopes") {
		t.Errorf("scope admin for one who is none: %v", err)
	}
	if _, err := b.svc.CreateKey(b.local(), identity.NewKey{Name: "x", Scopes: read}); !is(err, "user_id") {
		t.Errorf("the local caller is no user: %v", err)
	}
	if _, err := b.svc.CreateKey(b.ctx(), identity.NewKey{Name: "x", User: plain, Scopes: read}); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("nobody calls: %v", err)
	}
	if after := b.seen(); after != before {
		t.Errorf("%v became %v", before, after)
	}
}

func TestNoKeyMakesAStrongerOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice, aliceKey := b.user("alice", false, access.ScopeWrite)
	bob, _ := b.user("bob", false, access.ScopeWrite)
	weakAdmin, err := b.svc.CreateKey(b.local(), identity.NewKey{User: b.admin, Name: "weak", Scopes: []access.Scope{access.ScopeWrite}})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := b.svc.CreateKey(b.local(), identity.NewKey{User: alice, Name: "reader", Scopes: []access.Scope{access.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	none := 0
	write, admin, read := []access.Scope{access.ScopeWrite}, []access.Scope{access.ScopeAdmin}, []access.Scope{access.ScopeRead}
	before := b.seen()
	for name, tc := range map[string]struct {
		key string
		n   identity.NewKey
	}{
		"admin by write":               {aliceKey, identity.NewKey{Scopes: admin}},
		"write by read":                {reader.Text, identity.NewKey{Scopes: write}},
		"another's by a user":          {aliceKey, identity.NewKey{User: bob, Scopes: read}},
		"the admin's by a user":        {aliceKey, identity.NewKey{User: b.admin, Scopes: read}},
		"no limit by a user":           {aliceKey, identity.NewKey{Scopes: read, RateLimit: &none}},
		"scope admin by a weak key":    {weakAdmin.Text, identity.NewKey{Scopes: admin}},
		"another's by an admin's weak": {weakAdmin.Text, identity.NewKey{User: bob, Scopes: read}},
		"no limit by an admin's weak":  {weakAdmin.Text, identity.NewKey{Scopes: read, RateLimit: &none}},
	} {
		tc.n.Name = "x"
		if _, err := b.svc.CreateKey(b.as(tc.key), tc.n); !problem.Is(err, problem.Forbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := b.seen(); after != before {
		t.Errorf("%v became %v", before, after)
	}
	for name, tc := range map[string]struct {
		key string
		n   identity.NewKey
	}{
		"the same":             {aliceKey, identity.NewKey{Scopes: write}},
		"less":                 {aliceKey, identity.NewKey{Scopes: read, User: alice}},
		"anything by an admin": {adminKey, identity.NewKey{Scopes: write, User: bob, RateLimit: &none}},
		"admin by an admin":    {adminKey, identity.NewKey{Scopes: admin}},
	} {
		tc.n.Name = "x"
		if _, err := b.svc.CreateKey(b.as(tc.key), tc.n); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLimitsAreInherited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice, _ := b.user("alice", false, access.ScopeRead)
	at, later, ten, eleven := b.clock.now().Add(time.Hour), b.clock.now().Add(2*time.Hour), 10, 11
	parent, err := b.svc.CreateKey(b.local(), identity.NewKey{User: alice, Name: "parent", Scopes: []access.Scope{access.ScopeWrite}, Expires: &at, RateLimit: &ten})
	if err != nil {
		t.Fatal(err)
	}
	ctx := b.as(parent.Text)
	child, err := b.svc.CreateKey(ctx, identity.NewKey{Name: "child", Scopes: []access.Scope{access.ScopeRead}})
	if err != nil || child.Expires == nil || !child.Expires.Equal(at) || child.RateLimit == nil || *child.RateLimit != ten {
		t.Fatalf("%+v %v", child, err)
	}
	if _, err := b.svc.CreateKey(ctx, identity.NewKey{Name: "x", Scopes: []access.Scope{access.ScopeRead}, Expires: &later}); !is(err, "expires_at") {
		t.Errorf("for longer: %v", err)
	}
	if _, err := b.svc.CreateKey(ctx, identity.NewKey{Name: "x", Scopes: []access.Scope{access.ScopeRead}, RateLimit: &eleven}); !problem.Is(err, problem.Forbidden) {
		t.Errorf("more often: %v", err)
	}
	var never *time.Time
	var usual *int
	name := "renamed"
	for what, c := range map[string]identity.KeyChange{"rate_limit": {RateLimit: &usual}, "expires_at": {Expires: &never}} {
		got, err := b.svc.UpdateKey(ctx, child.ID, c)
		if err != nil || got.Expires == nil || got.RateLimit == nil {
			t.Errorf("a limit taken off by %s: %+v %v", what, got, err)
		}
	}
	if got, err := b.svc.UpdateKey(ctx, child.ID, identity.KeyChange{Name: &name}); err != nil || got.Name != name || *got.RateLimit != ten {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := b.svc.UpdateKey(b.local(), child.ID, identity.KeyChange{RateLimit: &usual, Expires: &never}); err != nil || got.Expires != nil || got.RateLimit != nil {
		t.Errorf("by an admin: %+v %v", got, err)
	}
}

func TestALimitedKeyAddsNoSSHKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice, text := b.user("alice", false, access.ScopeWrite)
	at := b.clock.now().Add(time.Hour)
	for what, n := range map[string]identity.NewKey{
		"expires":   {User: alice, Name: "x", Scopes: []access.Scope{access.ScopeWrite}, Expires: &at},
		"from here": {User: alice, Name: "x", Scopes: []access.Scope{access.ScopeWrite}, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
	} {
		k, err := b.svc.CreateKey(b.local(), n)
		if err != nil {
			t.Fatal(err)
		}
		c := access.Caller{Actor: access.Actor{Via: access.ViaKey, User: alice, Key: k.ID, Address: "192.0.2.7"}, Scopes: k.Scopes}
		if _, err := b.svc.AddSSHKey(access.With(b.ctx(), c), alice, "mine", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJkfXfwCAcppSlnJX67s9CgbV4fxWaJfYtN5wdny3VXk"); !problem.Is(err, problem.Forbidden) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := b.svc.AddSSHKey(b.as(text), alice, "mine", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJkfXfwCAcppSlnJX67s9CgbV4fxWaJfYtN5wdny3VXk"); err != nil {
		t.Errorf("by one without limits: %v", err)
	}
}

func TestOnlyAdminsSetRateLimitsForOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	helper, _ := b.user("helper", false, access.ScopeRead)
	alice, _ := b.user("alice", false, access.ScopeRead)
	unlimited := 0
	c := access.Caller{Actor: access.Actor{Via: access.ViaSession, User: helper}, Scopes: []access.Scope{access.ScopeAdmin}, Permissions: []access.Permission{access.WriteUsers}}
	n := identity.NewKey{User: alice, Name: "x", Scopes: []access.Scope{access.ScopeRead}, RateLimit: &unlimited}
	if _, err := b.svc.CreateKey(access.With(b.ctx(), c), n); !problem.Is(err, problem.Forbidden) {
		t.Errorf("got %v", err)
	}
	n.RateLimit = nil
	if _, err := b.svc.CreateKey(access.With(b.ctx(), c), n); err != nil {
		t.Error(err)
	}
}

func TestUpdateAndRevokeKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice, aliceKey := b.user("alice", false, access.ScopeWrite)
	_, bobKey := b.user("bob", false, access.ScopeWrite)
	reader, err := b.svc.CreateKey(b.as(aliceKey), identity.NewKey{Name: "reader", Scopes: []access.Scope{access.ScopeRead}})
	if err != nil {
		t.Fatal(err)
	}
	weakAdmin, err := b.svc.CreateKey(b.local(), identity.NewKey{User: b.admin, Name: "weak", Scopes: []access.Scope{access.ScopeWrite}})
	if err != nil {
		t.Fatal(err)
	}
	own := b.as(aliceKey)
	strong := access.From(own).Key
	name, dialect := "new", access.V03
	before := b.seen()
	for what, tc := range map[string]struct {
		ctx  context.Context
		id   ident.Key
		c    identity.KeyChange
		code problem.Code
	}{
		"another's":                  {b.as(bobKey), reader.ID, identity.KeyChange{Name: &name}, problem.NotFound},
		"none":                       {own, "none", identity.KeyChange{Name: &name}, problem.NotFound},
		"a stronger one of the same": {b.as(reader.Text), strong, identity.KeyChange{Name: &name}, problem.Forbidden},
		"to more than one's own":     {own, reader.ID, identity.KeyChange{Scopes: []access.Scope{access.ScopeAdmin}}, problem.Forbidden},
		"another's by a weak admin":  {b.as(weakAdmin.Text), reader.ID, identity.KeyChange{Name: &name}, problem.Forbidden},
		"nobody":                     {b.ctx(), reader.ID, identity.KeyChange{Name: &name}, problem.Unauthorized},
		"admin for one who is none":  {b.local(), reader.ID, identity.KeyChange{Scopes: []access.Scope{access.ScopeAdmin}}, problem.Validation},
	} {
		if _, err := b.svc.UpdateKey(tc.ctx, tc.id, tc.c); !problem.Is(err, tc.code) {
			t.Errorf("update %s: %v", what, err)
		}
		if len(tc.c.Scopes) > 0 {
			continue
		}
		if err := b.svc.RevokeKey(tc.ctx, tc.id); !problem.Is(err, tc.code) {
			t.Errorf("revoke %s: %v", what, err)
		}
	}
	if after := b.seen(); after != before {
		t.Fatalf("%v became %v", before, after)
	}
	got, err := b.svc.UpdateKey(own, reader.ID, identity.KeyChange{Name: &name, Dialect: &dialect, Scopes: []access.Scope{access.ScopeWrite}})
	if err != nil || got.Name != name || got.Dialect != dialect || got.Scopes[0] != access.ScopeWrite || got.User != alice {
		t.Fatalf("%+v %v", got, err)
	}
	if c, err := b.svc.Authenticate(b.ctx(), reader.Text); err != nil || c.Dialect != access.V03 || !c.Has(access.ScopeWrite) {
		t.Errorf("%+v %v", c, err)
	}
	if err := b.svc.RevokeKey(own, reader.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.Authenticate(b.ctx(), reader.Text); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("a revoked key: %v", err)
	}
	if got := b.happened(); !strings.HasSuffix(got, "key.updated key.revoked") {
		t.Error(got)
	}
}

func TestKeysThatACallerSees(t *testing.T) {
	t.Parallel()
	b := setup(t)
	alice, aliceKey := b.user("alice", false, access.ScopeRead)
	bob, _ := b.user("bob", false, access.ScopeRead)
	for name, tc := range map[string]struct {
		ctx  context.Context
		f    identity.KeyFilter
		want string
	}{
		"a user":             {b.as(aliceKey), identity.KeyFilter{}, "alice"},
		"a user, himself":    {b.as(aliceKey), identity.KeyFilter{User: alice}, "alice"},
		"a user, another":    {b.as(aliceKey), identity.KeyFilter{User: bob}, ""},
		"an admin":           {b.as(adminKey), identity.KeyFilter{}, "alice bob first key"},
		"an admin, one":      {b.as(adminKey), identity.KeyFilter{User: bob}, "bob"},
		"an admin, one page": {b.as(adminKey), identity.KeyFilter{User: bob, Limit: 1, Offset: 1}, ""},
	} {
		list, _, err := b.svc.Keys(tc.ctx, tc.f)
		names := map[string]bool{}
		for _, k := range list {
			names[k.Name] = true
		}
		var got []string
		for _, n := range []string{"alice", "bob", "first key"} {
			if names[n] {
				got = append(got, n)
			}
		}
		if strings.Join(got, " ") != tc.want || err != nil {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	first := access.From(b.as(adminKey)).Key
	if _, err := b.svc.Key(b.as(aliceKey), first); !problem.Is(err, problem.NotFound) {
		t.Errorf("%v", err)
	}
	if _, _, err := b.svc.Keys(b.ctx(), identity.KeyFilter{}); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("%v", err)
	}
}

func TestDemotionTakesTheScopeAdminAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, text := b.user("boss", true, access.ScopeAdmin)
	no := false
	if _, err := b.svc.UpdateUser(b.local(), id, identity.UserChange{Admin: &no}); err != nil {
		t.Fatal(err)
	}
	c, err := b.svc.Authenticate(b.ctx(), text)
	if err != nil || c.Admin || c.Has(access.ScopeAdmin) || !c.Has(access.ScopeWrite) {
		t.Fatalf("%+v %v", c, err)
	}
}

// lastUsed reads the column.
func (b *bundle) lastUsed(text string) *time.Time {
	b.t.Helper()
	c, err := b.svc.Authenticate(b.ctx(), text)
	if err != nil {
		b.t.Fatal(err)
	}
	k, err := b.svc.Key(b.local(), c.Key)
	if err != nil {
		b.t.Fatal(err)
	}
	return k.LastUsed
}

func TestLastUseIsWrittenLater(t *testing.T) {
	t.Parallel()
	b := setup(t)
	version := b.db.Version()
	if at := b.lastUsed(adminKey); at != nil {
		t.Fatalf("used at %s before anything was written", at)
	}
	if b.db.Version() != version {
		t.Fatal("authenticating wrote")
	}
	ctx, cancel := context.WithCancel(b.ctx())
	done := make(chan struct{})
	go func() { defer close(done); b.svc.Run(ctx) }()
	cancel() // it writes once more at the end
	<-done
	if at := b.lastUsed(adminKey); at == nil || !at.Equal(b.clock.now()) {
		t.Fatalf("%v", at)
	}
}

func TestRunWritesEveryHalfMinute(t *testing.T) {
	t.Parallel()
	b := setup(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { b.svc.Run(ctx) })
		if _, err := b.svc.Authenticate(t.Context(), adminKey); err != nil {
			t.Fatal(err)
		}
		version := b.db.Version()
		time.Sleep(29 * time.Second)
		synctest.Wait()
		if b.db.Version() != version {
			t.Error("written too early")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if b.db.Version() != version+1 {
			t.Errorf("%d writes after half a minute", b.db.Version()-version)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if b.db.Version() != version+1 {
			t.Error("written although no key was used")
		}
		cancel()
		wg.Wait()
	})
}
