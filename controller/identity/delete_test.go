package identity_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// flat is a room of instances in memory.
type flat struct {
	of    map[ident.User]int
	heirs map[ident.User]ident.User
	by    access.Actor
	fail  error
}

func (f *flat) CountOf(_ context.Context, _ store.Querier, owner ident.User) (int, error) {
	return f.of[owner], nil
}

func (f *flat) TransferAll(_ context.Context, _ *store.Tx, from, to ident.User, by access.Actor) error {
	f.of[to] += f.of[from]
	delete(f.of, from)
	f.by = by
	return f.fail
}

func (f *flat) DeleteAll(_ context.Context, _ *store.Tx, owner, heir ident.User, by access.Actor) error {
	delete(f.of, owner)
	f.heirs[owner] = heir
	f.by = by
	return f.fail
}

func (f *flat) UseOf(_ context.Context, _ store.Querier, owner ident.User) (identity.Use, error) {
	return identity.Use{Instances: int64(f.of[owner]), MemoryMiB: 64, NanoCPUs: 5e8, DiskMiB: 100}, f.fail
}

func TestDeleteUser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, text := b.user("alice", false, access.ScopeWrite)
	if err := b.svc.DeleteUser(b.local(), id, identity.Refuse, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := b.svc.User(b.ctx(), id); !problem.Is(err, problem.NotFound) {
		t.Errorf("%v", err)
	}
	if _, err := b.svc.Authenticate(b.ctx(), text); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("his key: %v", err)
	}
	if err := b.svc.DeleteUser(b.local(), id, identity.Refuse, ""); !problem.Is(err, problem.NotFound) {
		t.Errorf("a second time: %v", err)
	}
	if got := b.happened(); !strings.HasSuffix(got, "user.created key.created user.deleted") {
		t.Error(got)
	}
}

func TestDeleteUserWithInstances(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id, _ := b.user("alice", false, access.ScopeRead)
	bob, _ := b.user("bob", false, access.ScopeRead)
	rooms := &flat{of: map[ident.User]int{id: 3}, heirs: map[ident.User]ident.User{}}
	b.svc.Attach(rooms)
	before := b.seen()
	for what, tc := range map[string]struct {
		fate identity.Fate
		to   ident.User
		ok   func(error) bool
	}{
		"not said":        {identity.Refuse, "", func(err error) bool { return problem.Is(err, problem.Conflict) }},
		"an unknown fate": {"burn", "", func(err error) bool { return is(err, "instances") }},
		"to nobody":       {identity.Transfer, "", func(err error) bool { return is(err, "to") }},
		"to himself":      {identity.Transfer, id, func(err error) bool { return is(err, "to") }},
		"to one unknown":  {identity.Transfer, "none", func(err error) bool { return is(err, "to") }},
		"delete, but to":  {identity.Delete, bob, func(err error) bool { return is(err, "to") }},
	} {
		if err := b.svc.DeleteUser(b.local(), id, tc.fate, tc.to); !tc.ok(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	rooms.fail = errors.New("the transfer fails")
	if err := b.svc.DeleteUser(b.local(), id, identity.Transfer, bob); !errors.Is(err, rooms.fail) {
		t.Error(err)
	}
	if after := b.seen(); after != before {
		t.Fatalf("%v became %v", before, after)
	}
	rooms.fail, rooms.of = nil, map[ident.User]int{id: 3}
	if err := b.svc.DeleteUser(b.local(), id, identity.Transfer, bob); err != nil || rooms.of[bob] != 3 || rooms.by.Via != access.ViaLocal {
		t.Fatalf("%v %+v", err, rooms)
	}
	if err := b.svc.DeleteUser(b.local(), bob, identity.Delete, ""); err != nil || rooms.heirs[bob] != b.admin || len(rooms.of) != 0 {
		t.Fatalf("%v %+v", err, rooms)
	}
}
