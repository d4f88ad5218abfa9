package identity_test

import (
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// enter runs Enter in a transaction of its own.
func (b *bundle) enter(id ident.User, e identity.Entry) (u identity.User, err error) {
	b.t.Helper()
	err = b.db.Write(b.ctx(), func(tx *store.Tx) error {
		u, err = b.svc.Enter(b.ctx(), tx, id, e)
		return err
	})
	return u, err
}

func TestWhoHasNoPasswordYetGetsInByNone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	u, err := b.svc.CreateUser(b.local(), identity.NewUser{Username: "anna", Email: "anna@example.test", Invited: true})
	if err != nil {
		t.Fatal(err)
	}
	has := func() bool {
		t.Helper()
		has, err := identity.HasPassword(b.ctx(), b.db.Snapshot(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		return has
	}
	for _, password := range []string{"", " ", "anna", "\x00"} {
		if _, err := b.svc.Login(b.ctx(), "anna", password); !problem.Is(err, problem.Unauthorized) {
			t.Errorf("%q: %v", password, err)
		}
	}
	if _, err := b.svc.CreateUser(b.local(), identity.NewUser{Username: "bob", Email: "bob@example.test"}); !problem.Is(err, problem.Validation) {
		t.Fatal("a password was forgotten without a word", err)
	}
	if _, err := b.svc.Hash(b.ctx(), "short"); !problem.Is(err, problem.Validation) {
		t.Fatal(err)
	}
	hashed, err := b.svc.Hash(b.ctx(), "annas password")
	if err != nil || has() {
		t.Fatal(err)
	}
	if got, err := b.enter(u.ID, identity.Entry{Password: hashed, Verified: true}); err != nil || !got.Verified || !has() {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := b.svc.Login(b.ctx(), "anna", "annas password"); err != nil {
		t.Fatal(err)
	}
}

func TestEnter(t *testing.T) {
	t.Parallel()
	b := setup(t)
	anna, _ := b.user("anna", false, access.ScopeRead)
	b.user("bob", false, access.ScopeRead)
	before := b.seen()
	if _, err := b.enter(anna, identity.Entry{}); err != nil || b.seen() != before {
		t.Fatal("nothing to change was a change", err)
	}
	if _, err := b.enter(anna, identity.Entry{Email: "BOB@example.test"}); !problem.Is(err, problem.Conflict) {
		t.Fatal(err)
	}
	if _, err := b.enter("nobody", identity.Entry{Verified: true}); !problem.Is(err, problem.NotFound) {
		t.Fatal(err)
	}
	yes := true
	if _, err := b.svc.UpdateUser(b.local(), anna, identity.UserChange{Disabled: &yes}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.enter(anna, identity.Entry{Verified: true}); !problem.Is(err, problem.Conflict) {
		t.Fatal("a disabled account was entered", err)
	}
	// An admin's rights are no group's to take.
	none := ident.Role("")
	if u, err := b.enter(b.admin, identity.Entry{Role: &none}); err != nil || !u.Admin {
		t.Fatalf("%+v, %v", u, err)
	}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.user("anna", false, access.ScopeRead)
	admit := func(email string, suffixes ...string) (u identity.User, err error) {
		err = b.db.Write(b.ctx(), func(tx *store.Tx) error {
			u, err = b.svc.Admit(b.ctx(), tx, identity.NewUser{Username: "Anna", Email: email}, suffixes...)
			return err
		})
		return u, err
	}
	if u, err := admit("other@example.test", "-1", "-2"); err != nil || u.Username != "Anna-1" {
		t.Fatalf("%+v, %v", u, err)
	}
	if u, err := admit("third@example.test", "-1", "-2"); err != nil || u.Username != "Anna-2" {
		t.Fatalf("%+v, %v", u, err)
	}
	before := b.seen()
	if _, err := admit("fourth@example.test", "-1"); !problem.Is(err, problem.Conflict) {
		t.Fatal(err)
	}
	if _, err := admit("anna@example.test", "-9"); !problem.Is(err, problem.Conflict) || b.seen() != before {
		t.Fatal("an address that is taken", err)
	}
}
