package subuser_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/invite"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/controller/subuser"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

const (
	mine  = ident.Instance("00000001")
	yours = ident.Instance("00000002")
)

// bundle is subusers of two instances, with real users.
type bundle struct {
	t       *testing.T
	db      *store.DB
	events  *event.Log
	users   *identity.Service
	svc     *subuser.Service
	owner   access.Caller
	invited []invite.Guest
	refuse  error // of the inviter
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{t: t}
	var err error
	if b.db, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "berth.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.db.Close() })
	b.events = event.New(time.Now)
	b.users, err = identity.New(identity.Config{DB: b.db, Events: b.events, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Hash: identity.Cost{MemoryKiB: 8, Passes: 1}})
	if err != nil {
		t.Fatal(err)
	}
	b.svc = subuser.NewService(subuser.Deps{DB: b.db, Events: b.events, Instances: instances{}, Inviter: b, Now: time.Now})
	b.users.AttachShares(b.svc)
	b.owner = b.caller(b.user("owner"))
	other := b.user("other")
	b.exec(`INSERT INTO nodes (id, name, tags, address, port, bind_address, public_host, processor, memory_mib, disk_mib, created_at, updated_at)
		VALUES ('n', 'n', '[]', 'a', 1, '0.0.0.0', '', '', 1, 1, 0, 0)`)
	b.exec(`INSERT INTO images (id, name, reference, definition, created_seq, created_at, updated_at) VALUES ('i', 'i', 'i', '{}', 1, 0, 0)`)
	for id, who := range map[ident.Instance]ident.User{mine: b.owner.User, yours: other} {
		b.exec(`INSERT INTO instances (id, name, owner_id, node_id, image_id, reference, memory_mib, nano_cpus, disk_mib, variables, spec, generation,
			power, phase, actual, created_at, updated_at) VALUES (?, 'game', ?, 'n', 'i', 'i', 1, 1, 1, '{}', '{}', 1, 'running', 'ready', 'running', 0, 0)`, string(id), string(who))
	}
	return b
}

func (b *bundle) exec(query string, args ...any) {
	b.t.Helper()
	if err := b.db.Write(b.t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(b.t.Context(), query, args...)
		return err
	}); err != nil {
		b.t.Fatal(err)
	}
}

// instances finds them as controller/instance does.
type instances struct{}

func (instances) Entitled(ctx context.Context, q store.Querier, c access.Caller, id ident.Instance, right access.Right) (instance.Instance, error) {
	i := instance.Instance{ID: id, Name: "game", Node: "n"}
	err := q.QueryRowContext(ctx, `SELECT owner_id FROM instances WHERE id = ?`, string(id)).Scan(&i.Owner)
	switch {
	case errors.Is(err, store.ErrNoRows) || err == nil && !c.SeesInstance(i.Of()):
		return i, problem.New(problem.NotFound, "there is no such instance")
	case err == nil && !c.May(right, i.Of()):
		return i, problem.New(problem.Forbidden, "no")
	}
	return i, err
}

// Host is subuser.Inviter's.
func (b *bundle) Host(_ context.Context, g invite.Guest) (ident.User, error) {
	if b.refuse != nil {
		return "", b.refuse
	}
	b.invited = append(b.invited, g)
	name, _, _ := strings.Cut(g.Email, "@")
	return b.user(name), nil
}

func (b *bundle) user(name string) ident.User {
	b.t.Helper()
	u, err := b.users.CreateUser(b.t.Context(), identity.NewUser{Username: name, Email: name + "@example.org", Password: "long enough"})
	if err != nil {
		b.t.Fatal(err)
	}
	return u.ID
}

// caller is a user as he calls now.
func (b *bundle) caller(id ident.User) access.Caller {
	b.t.Helper()
	c, err := b.users.Recall(b.t.Context(), access.Caller{Actor: access.Actor{Via: access.ViaSession, User: id}, Scopes: []access.Scope{access.ScopeWrite}})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

func (b *bundle) put(c access.Caller, user ident.User, rights ...access.Right) error {
	_, err := b.svc.Put(b.t.Context(), c, mine, user, rights)
	return err
}

// facts are what happened to subusers.
func (b *bundle) facts() string {
	b.t.Helper()
	list, _, err := b.events.List(b.t.Context(), b.db.Snapshot(), event.Filter{Sight: event.Everything(), Type: "subuser", Limit: 100})
	if err != nil {
		b.t.Fatal(err)
	}
	var names []string
	for _, e := range slices.Backward(list) {
		if e.Instance != mine || e.Owner != b.owner.User || e.Node != "n" || e.Subject == "" {
			b.t.Errorf("%+v", e)
		}
		names = append(names, string(e.Type))
	}
	return strings.Join(names, " ")
}

func TestRightsAreGivenChangedAndTaken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	anna := b.user("anna")
	of := access.Of{Instance: mine, Owner: b.owner.User}
	if b.caller(anna).SeesInstance(of) {
		t.Fatal("a stranger sees it")
	}
	for _, rights := range [][]access.Right{{access.ReadConsole}, {access.ReadConsole, access.ReadConsole}, {access.PowerRight, access.SeeInstance}, {}} {
		if err := b.put(b.owner, anna, rights...); err != nil {
			t.Fatal(err)
		}
		c := b.caller(anna)
		for _, r := range access.Rights() {
			if want := r == access.SeeInstance || slices.Contains(rights, r); c.May(r, of) != want {
				t.Errorf("%v: %s is %t", rights, r, !want)
			}
		}
		if c.SeesInstance(access.Of{Instance: yours, Owner: "x"}) {
			t.Error("another instance is seen")
		}
	}
	list, err := b.svc.List(t.Context(), b.owner, mine)
	if err != nil || len(list) != 1 || list[0].Username != "anna" || !slices.Equal(list[0].Rights, []access.Right{access.SeeInstance}) {
		t.Errorf("%+v, %v", list, err)
	}
	for range 2 {
		err = b.svc.Remove(t.Context(), b.owner, mine, anna)
		if err != nil && !problem.Is(err, problem.NotFound) {
			t.Fatal(err)
		}
	}
	if err == nil || b.caller(anna).SeesInstance(of) {
		t.Errorf("it is still shared: %v", err)
	}
	if got := b.facts(); got != "subuser.added subuser.changed subuser.changed subuser.removed" {
		t.Error(got)
	}
}

// Who may choose subusers gives and takes no more than he has, and of nothing else.
func TestASubuserGivesNoMoreThanHeHas(t *testing.T) {
	t.Parallel()
	b := setup(t)
	deputy, strong, weak, new1 := b.user("deputy"), b.user("strong"), b.user("weak"), b.user("new")
	for user, rights := range map[ident.User][]access.Right{
		deputy: {access.EditSubusers, access.ReadConsole}, strong: {access.WriteFiles}, weak: {access.ReadConsole},
	} {
		if err := b.put(b.owner, user, rights...); err != nil {
			t.Fatal(err)
		}
	}
	before := b.facts()
	c := b.caller(deputy)
	read := c
	read.Scopes = []access.Scope{access.ScopeRead}
	for what, try := range map[string]struct {
		do   func() error
		code problem.Code
	}{
		"a right that he lacks":    {func() error { return b.put(c, new1, access.PowerRight) }, problem.Forbidden},
		"to himself":               {func() error { return b.put(c, deputy, access.EditSubusers, access.PowerRight) }, problem.Forbidden},
		"less to who has more":     {func() error { return b.put(c, strong, access.ReadConsole) }, problem.Forbidden},
		"nothing to who has more":  {func() error { return b.svc.Remove(t.Context(), c, mine, strong) }, problem.Forbidden},
		"by a key that only reads": {func() error { return b.put(read, new1, access.ReadConsole) }, problem.Forbidden},
		"of another's instance":    {func() error { _, err := b.svc.Put(t.Context(), c, yours, new1, nil); return err }, problem.NotFound},
		"by who may not":           {func() error { return b.put(b.caller(weak), new1, access.ReadConsole) }, problem.Forbidden},
		"by a stranger":            {func() error { return b.put(b.caller(new1), new1, access.ReadConsole) }, problem.NotFound},
		"by nobody":                {func() error { return b.put(access.Caller{}, new1, access.ReadConsole) }, problem.NotFound},
		"to nobody":                {func() error { return b.put(b.owner, "nobody", access.ReadConsole) }, problem.Validation},
		"to the owner":             {func() error { return b.put(b.owner, b.owner.User, access.ReadConsole) }, problem.Validation},
		"a right that there isn't": {func() error { return b.put(b.owner, new1, "everything") }, problem.Validation},
		"listing by who may not":   {func() error { _, err := b.svc.List(t.Context(), b.caller(weak), mine); return err }, problem.Forbidden},
		"listing by a stranger":    {func() error { _, err := b.svc.List(t.Context(), b.caller(new1), mine); return err }, problem.NotFound},
		"inviting with what he lacks": {func() error {
			_, err := b.svc.Invite(t.Context(), c, mine, subuser.Invitation{Email: "x@example.org", Rights: []access.Right{access.PowerRight}})
			return err
		}, problem.Forbidden},
		"inviting by a stranger": {func() error {
			_, err := b.svc.Invite(t.Context(), b.caller(new1), mine, subuser.Invitation{Email: "x@example.org"})
			return err
		}, problem.NotFound},
	} {
		if err := try.do(); !problem.Is(err, try.code) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if after := b.facts(); after != before || len(b.invited) > 0 {
		t.Errorf("something happened: %s; %v", after, b.invited)
	}
	if err := b.put(c, new1, access.ReadConsole); err != nil {
		t.Errorf("what he has: %v", err)
	}
	if err := b.svc.Remove(t.Context(), c, mine, weak); err != nil {
		t.Errorf("from who has no more: %v", err)
	}
	if _, err := b.svc.List(t.Context(), read, mine); err != nil {
		t.Errorf("listing takes no more than a key that reads: %v", err)
	}
	if err := b.svc.Remove(t.Context(), b.caller(strong), mine, strong); err != nil {
		t.Errorf("he leaves: %v", err)
	}
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	anna := b.user("anna")
	ask := func(in subuser.Invitation) (subuser.Subuser, error) {
		return b.svc.Invite(t.Context(), b.owner, mine, in)
	}
	for _, in := range []subuser.Invitation{{Username: "ANNA"}, {Email: "Anna@example.org"}} {
		if s, err := ask(in); err != nil || s.User != anna || len(b.invited) > 0 {
			t.Errorf("%+v: %+v, %v", in, s, err)
		}
	}
	s, err := ask(subuser.Invitation{Email: "new@example.org", Rights: []access.Right{access.PowerRight}})
	if err != nil || s.Username != "new" || !slices.Contains(s.Rights, access.PowerRight) {
		t.Errorf("%+v, %v", s, err)
	}
	if want := []invite.Guest{{Email: "new@example.org", By: "owner", To: "game"}}; !slices.Equal(b.invited, want) {
		t.Errorf("%+v", b.invited)
	}
	for _, in := range []subuser.Invitation{{}, {Username: "anna", Email: "anna@example.org"}, {Username: "anna", Rights: []access.Right{"x"}}} {
		if _, err := ask(in); !problem.Is(err, problem.Validation) {
			t.Errorf("%+v: %v", in, err)
		}
	}
	if _, err := ask(subuser.Invitation{Username: "nobody"}); !problem.Is(err, problem.NotFound) || !strings.Contains(err.Error(), "address") {
		t.Error(err)
	}
	b.refuse = problem.New(problem.Conflict, "no mail server is set")
	if _, err := ask(subuser.Invitation{Email: "another@example.org"}); !problem.Is(err, problem.Conflict) {
		t.Error(err)
	}
	b.svc.Inviter = nil
	if _, err := ask(subuser.Invitation{Email: "another@example.org"}); !problem.Is(err, problem.NotFound) || !strings.Contains(err.Error(), "admin") {
		t.Error(err)
	}
}

func TestANewOwnerHasNoSubusers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, name := range []string{"anna", "bob"} {
		if err := b.put(b.owner, b.user(name), access.ReadFiles); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.db.Write(t.Context(), func(tx *store.Tx) error {
		return b.svc.OwnerChanged(t.Context(), tx, access.System(), instance.Instance{ID: mine, Owner: b.owner.User, Node: "n"})
	}); err != nil {
		t.Fatal(err)
	}
	if list, err := b.svc.List(t.Context(), b.owner, mine); err != nil || len(list) > 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if got := b.facts(); got != "subuser.added subuser.added subuser.removed subuser.removed" {
		t.Error(got)
	}
}

func TestSharesAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	anna := b.user("anna")
	b.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO users (id, username, email, admin, verified, disabled, password_hash, created_at, updated_at)
		SELECT 'u' || i, 'u' || i, 'u' || i || '@x', 0, 0, 0, '', 0, 0 FROM n`, subuser.PerInstance)
	b.exec(`INSERT INTO subusers SELECT '` + string(mine) + `', id, '["instance.see"]', 0, 0 FROM users WHERE id LIKE 'u%' AND password_hash = ''`)
	if err := b.put(b.owner, anna, access.ReadFiles); !problem.Is(err, problem.Conflict) {
		t.Errorf("one more: %v", err)
	}
	if err := b.put(b.owner, "u1", access.ReadFiles); err != nil {
		t.Errorf("one who is there: %v", err)
	}
	if _, err := b.svc.Put(t.Context(), access.Local(), yours, anna, nil); err != nil {
		t.Errorf("of another instance: %v", err)
	}
	all, err := b.svc.SharedWith(t.Context(), b.db.Snapshot(), "")
	if err != nil || len(all) != subuser.PerInstance+1 || fmt.Sprint(all[anna]) != "map[00000002:[instance.see]]" {
		t.Errorf("%d, %v, %v", len(all), all[anna], err)
	}
}
