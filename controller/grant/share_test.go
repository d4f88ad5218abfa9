package grant_test

import (
	"context"
	"sync"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// shares stand for the room of the subusers.
type shares struct {
	mu sync.Mutex
	of map[ident.User]map[ident.Instance][]access.Right
}

func (s *shares) SharedWith(context.Context, store.Querier, ident.User) (map[ident.User]map[ident.Instance][]access.Right, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.of, nil
}

// share says what the stranger may do with the owner's instance, and tells of it.
func (b *bundle) share(s *shares, fact event.Type, rights ...access.Right) access.Caller {
	b.t.Helper()
	s.mu.Lock()
	s.of = map[ident.User]map[ident.Instance][]access.Right{b.stranger.User: {mine: rights}}
	if len(rights) == 0 {
		s.of = nil
	}
	s.mu.Unlock()
	if err := b.db.Write(b.t.Context(), func(tx *store.Tx) error {
		return b.events.Append(b.t.Context(), tx, event.Event{Type: fact, Owner: b.owner.User, Instance: mine, Subject: string(b.stranger.User), Actor: b.owner.Actor}, nil)
	}); err != nil {
		b.t.Fatal(err)
	}
	c, err := b.users.Recall(b.t.Context(), b.stranger)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// What a subuser holds ends with the very right that is taken; what he has others
// for goes on.
func TestHoldsEndWithAShare(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := &shares{}
	b.users.AttachShares(s)
	c := b.share(s, "subuser.added", access.ReadConsole, access.WriteConsole, access.ReadFiles)
	console, _ := b.hold(c, mine, access.ReadConsole)
	typing, _ := b.hold(c, mine, access.WriteConsole)
	download, _ := b.hold(c, mine, access.ReadFiles)
	owners, _ := b.hold(b.owner, mine, access.ReadFiles)
	if _, _, err := b.grants.Hold(t.Context(), c, mine, access.WriteFiles); !problem.Is(err, problem.Forbidden) {
		t.Errorf("a right that he lacks: %v", err)
	}
	c = b.share(s, "subuser.changed", access.ReadConsole, access.WriteConsole)
	b.ends(download, problem.Forbidden, grant.ErrForbidden)
	if _, err := b.grants.Allow(t.Context(), c, mine, access.ReadFiles); !problem.Is(err, problem.Forbidden) {
		t.Errorf("the next download: %v", err)
	}
	b.share(s, "subuser.changed", access.ReadConsole)
	b.ends(typing, problem.Forbidden, grant.ErrForbidden)
	if console.Err() != nil {
		t.Fatal("a right that he has ended")
	}
	b.share(s, "subuser.removed")
	b.ends(console, problem.NotFound, grant.ErrDeleted)
	if owners.Err() != nil {
		t.Error("the owner's ended too")
	}
}

// A ticket that was given before the right was taken opens nothing.
func TestATicketOfASubuserGoesWithHisRight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := &shares{}
	b.users.AttachShares(s)
	c := b.share(s, "subuser.added", access.ReadFiles)
	ticket, err := b.grants.Issue(t.Context(), c, mine, access.ReadFiles, "download")
	if err != nil {
		t.Fatal(err)
	}
	b.share(s, "subuser.removed")
	now, err := b.grants.Redeem(t.Context(), ticket.Text, "download", mine)
	if err == nil {
		_, err = b.grants.Allow(t.Context(), now, mine, access.ReadFiles)
	}
	if !problem.Is(err, problem.NotFound) {
		t.Errorf("%v", err)
	}
}

func TestHoldsEndWithARole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	role, err := b.users.CreateRole(b.local(), identity.Role{Name: "all", Permissions: []access.Permission{access.WriteInstances}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.users.UpdateUser(b.local(), b.stranger.User, identity.UserChange{Role: &role.ID}); err != nil {
		t.Fatal(err)
	}
	c, err := b.users.Recall(t.Context(), b.stranger)
	if err != nil {
		t.Fatal(err)
	}
	console, _ := b.hold(c, mine, access.ReadConsole)
	files, _ := b.hold(c, mine, access.ReadFiles)
	if _, err := b.users.UpdateRole(b.local(), role.ID, identity.RoleChange{Permissions: &[]string{"instances.read"}}); err != nil {
		t.Fatal(err)
	}
	b.ends(files, problem.Forbidden, grant.ErrForbidden)
	if console.Err() != nil {
		t.Error("what he may still do ended")
	}
	if err := b.users.DeleteRole(b.local(), role.ID); err != nil {
		t.Fatal(err)
	}
	b.ends(console, problem.NotFound, grant.ErrDeleted)
}
