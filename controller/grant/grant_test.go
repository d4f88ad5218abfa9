package grant_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

func TestAllow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	reader := b.key(b.owner.User, access.ScopeRead, nil)
	suspended, deleting := ident.Instance("000000aa"), ident.Instance("000000bb")
	b.instances.of[suspended] = instance.Instance{ID: suspended, Owner: b.owner.User, Phase: instance.Ready, Suspended: true, SuspendReason: "unpaid"}
	b.instances.of[deleting] = instance.Instance{ID: deleting, Owner: b.owner.User, Phase: instance.Deleting}
	for name, tc := range map[string]struct {
		caller access.Caller
		id     ident.Instance
		right  access.Right
		code   problem.Code
	}{
		"the owner":                     {b.owner, mine, access.WriteFiles, ""},
		"an admin":                      {b.admin, mine, access.PowerRight, ""},
		"nobody":                        {access.Caller{}, mine, access.SeeInstance, problem.Unauthorized},
		"a stranger":                    {b.stranger, mine, access.SeeInstance, problem.NotFound},
		"what isn't there":              {b.owner, "0000dead", access.SeeInstance, problem.NotFound},
		"what is no id":                 {b.admin, "../../etc", access.SeeInstance, problem.NotFound},
		"a reader reads":                {reader, mine, access.ReadConsole, ""},
		"a reader writes":               {reader, mine, access.WriteConsole, problem.Forbidden},
		"a suspended one is seen":       {b.owner, suspended, access.SeeInstance, ""},
		"a suspended one is read":       {b.owner, suspended, access.ReadFiles, problem.Conflict},
		"a suspended one, by an admin":  {b.admin, suspended, access.ReadFiles, ""},
		"one that goes":                 {b.admin, deleting, access.ReadFiles, problem.Conflict},
		"one that goes, for a stranger": {b.stranger, deleting, access.ReadFiles, problem.NotFound},
	} {
		i, err := b.grants.Allow(t.Context(), tc.caller, tc.id, tc.right)
		if tc.code == "" && (err != nil || i.ID != tc.id) || tc.code != "" && !problem.Is(err, tc.code) {
			t.Errorf("%s: %v, %v", name, i.ID, err)
		}
	}
}

func TestHoldsEndWithTheirRight(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	for name, tc := range map[string]struct {
		who   func(*bundle) access.Caller
		take  func(*bundle, access.Caller) error
		code  problem.Code
		cause error
	}{
		"the key is revoked": {nil, func(b *bundle, c access.Caller) error { return b.users.RevokeKey(b.local(), c.Key) }, problem.Unauthorized, grant.ErrRevoked},
		"the key loses the scope": {nil, func(b *bundle, c access.Caller) error {
			_, err := b.users.UpdateKey(b.local(), c.Key, identity.KeyChange{Scopes: []access.Scope{access.ScopeRead}})
			return err
		}, problem.Forbidden, grant.ErrForbidden},
		"the user is disabled": {nil, func(b *bundle, c access.Caller) error {
			_, err := b.users.UpdateUser(b.local(), c.User, identity.UserChange{Disabled: &yes})
			return err
		}, problem.Unauthorized, grant.ErrRevoked},
		"the user is deleted": {func(b *bundle) access.Caller { return b.admin }, func(b *bundle, c access.Caller) error {
			return b.users.DeleteUser(b.local(), c.User, identity.Refuse, "")
		}, problem.Unauthorized, grant.ErrRevoked},
		"the admin is demoted": {func(b *bundle) access.Caller { return b.admin }, func(b *bundle, c access.Caller) error {
			_, err := b.users.UpdateUser(b.local(), c.User, identity.UserChange{Admin: &no})
			return err
		}, problem.NotFound, grant.ErrDeleted},
		"it is suspended": {nil, func(b *bundle, _ access.Caller) error {
			b.change(mine, "instance.suspended", func(i *instance.Instance) { i.Suspended = true })
			return nil
		}, problem.Conflict, grant.ErrSuspended},
		"it is being deleted": {nil, func(b *bundle, _ access.Caller) error {
			b.change(mine, "instance.delete_ordered", func(i *instance.Instance) { i.Phase = instance.Deleting })
			return nil
		}, problem.Conflict, grant.ErrDeleted},
		"it is another's": {nil, func(b *bundle, _ access.Caller) error {
			b.change(mine, "instance.updated", func(i *instance.Instance) { i.Owner = b.stranger.User })
			return nil
		}, problem.NotFound, grant.ErrDeleted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			who := b.owner
			if tc.who != nil {
				who = tc.who(b)
			}
			held, _ := b.hold(who, mine, access.WriteConsole)
			bystander, _ := b.hold(access.Local(), other, access.WriteConsole)
			if err := tc.take(b, who); err != nil {
				t.Fatal(err)
			}
			b.ends(held, tc.code, tc.cause)
			if bystander.Err() != nil {
				t.Error("another hold ended too")
			}
			if _, _, err := b.grants.Hold(t.Context(), who, mine, access.WriteConsole); !errors.Is(err, tc.cause) {
				t.Errorf("it is given again: %v", err)
			}
			if grant.Holds(b.grants) != 1 {
				t.Errorf("%d holds are left", grant.Holds(b.grants))
			}
		})
	}
}

func TestAdminHoldsWhatIsSuspended(t *testing.T) {
	t.Parallel()
	b := setup(t)
	admin, _ := b.hold(b.admin, mine, access.WriteConsole)
	owner, _ := b.hold(b.owner, mine, access.ReadConsole)
	sight, _ := b.hold(b.owner, mine, access.SeeInstance)
	b.change(mine, "instance.suspended", func(i *instance.Instance) { i.Suspended, i.SuspendReason = true, "unpaid" })
	b.ends(owner, problem.Conflict, grant.ErrSuspended)
	b.change(mine, "instance.delete_ordered", func(i *instance.Instance) { i.Phase = instance.Deleting })
	b.ends(admin, problem.Conflict, grant.ErrDeleted) // only now: the suspension had been looked at before
	b.ends(sight, problem.Conflict, grant.ErrDeleted)
}

func TestExpiryIsFoundInRounds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	own := grant.NewService(b.grants.Deps)
	grant.Hurry(own, 10*time.Millisecond)
	at := b.clock.Now().Add(time.Hour)
	c := b.key(b.owner.User, access.ScopeRead, &at)
	held, release, err := own.Hold(t.Context(), c, mine, access.ReadConsole)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	fine := errors.New("not any more")
	var mu sync.Mutex
	also := error(nil)
	checked, release, err := own.Hold(t.Context(), b.owner, mine, access.UseSFTP, func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		return also
	})
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); own.Run(ctx) }()
	defer func() { cancel(); <-done }()
	b.instances.broken(errors.New("the database is busy")) // which says nothing of a right
	before := b.instances.reads()
	for b.instances.reads() < before+5 {
		time.Sleep(time.Millisecond)
	}
	b.instances.broken(nil)
	if held.Err() != nil || checked.Err() != nil {
		t.Fatal("a fault of the database ended a hold")
	}
	b.clock.Add(time.Hour)
	b.ends(held, problem.Unauthorized, grant.ErrRevoked)
	mu.Lock()
	also = problem.New(problem.Unauthorized, "the key was removed").Because(fine)
	mu.Unlock()
	b.ends(checked, problem.Unauthorized, fine)
}

func TestCaps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var last func()
	for range grant.PerUser {
		_, last = b.hold(b.owner, mine, access.ReadConsole)
	}
	if _, _, err := b.grants.Hold(t.Context(), b.owner, mine, access.ReadConsole); !problem.Is(err, problem.RateLimited) {
		t.Errorf("one more of a user: %v", err)
	}
	b.owner.Admin = true
	_, admins := b.hold(b.owner, mine, access.ReadConsole) // a dashboard may serve everybody with one key
	admins()
	b.owner.Admin = false
	last()
	last()
	b.hold(b.owner, mine, access.ReadConsole)
	for range grant.PerInstance - grant.PerUser {
		b.hold(access.Local(), mine, access.ReadConsole)
	}
	if _, _, err := b.grants.Hold(t.Context(), b.admin, mine, access.ReadConsole); !problem.Is(err, problem.RateLimited) {
		t.Errorf("one more of an instance: %v", err)
	}
	b.hold(b.admin, other, access.ReadConsole)
}

// A right that is taken while it is being given is not missed.
func TestHoldsRaceWithSuspension(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 50 {
		held := make(chan context.Context, 1)
		go func() {
			ctx, _, err := b.grants.Hold(t.Context(), b.owner, mine, access.ReadConsole)
			if err != nil {
				ctx = nil
			}
			held <- ctx
		}()
		b.change(mine, "instance.suspended", func(i *instance.Instance) { i.Suspended = true })
		if ctx := <-held; ctx != nil {
			b.ends(ctx, problem.Conflict, grant.ErrSuspended)
		}
		b.change(mine, "instance.unsuspended", func(i *instance.Instance) { i.Suspended = false })
	}
}

func TestAnEventCostsOneReadOfAnInstance(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var all []context.Context
	for range grant.PerUser {
		ctx, _ := b.hold(b.owner, mine, access.ReadConsole)
		all = append(all, ctx)
	}
	before := b.instances.reads()
	b.change(mine, "instance.suspended", func(i *instance.Instance) { i.Suspended = true })
	for _, ctx := range all {
		b.ends(ctx, problem.Conflict, grant.ErrSuspended)
	}
	if n := b.instances.reads() - before; n > 3 { // a round may come in between
		t.Errorf("%d reads", n)
	}
}

func TestTickets(t *testing.T) {
	t.Parallel()
	b := setup(t)
	issue := func(id ident.Instance) string {
		t.Helper()
		ticket, err := b.grants.Issue(t.Context(), b.owner, id, access.ReadConsole, "console")
		if err != nil || len(ticket.Text) < 43 || !ticket.Expires.Equal(b.clock.Now().Add(grant.TicketLife)) {
			t.Fatalf("%v, %v", ticket, err)
		}
		return ticket.Text
	}
	redeem := func(text string, purpose grant.Purpose, id ident.Instance) error {
		_, err := b.grants.Redeem(t.Context(), text, purpose, id)
		return err
	}
	text := issue(mine)
	c, err := b.grants.Redeem(t.Context(), text, "console", mine)
	if err != nil || c.User != b.owner.User || c.Key != b.owner.Key {
		t.Fatalf("%v, %v", c, err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if !problem.Is(err, problem.Unauthorized) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("a second time", redeem(text, "console", mine))
	refused("nonsense", redeem("nonsense", "console", mine))
	text = issue(mine)
	refused("another door", redeem(text, "download", mine))
	refused("the right door after the wrong one", redeem(text, "console", mine))
	refused("another instance", redeem(issue(mine), "console", other))
	text = issue(mine)
	b.clock.Add(grant.TicketLife)
	refused("too late", redeem(text, "console", mine))
	text = issue(mine)
	if err := b.users.RevokeKey(b.local(), b.owner.Key); err != nil {
		t.Fatal(err)
	}
	refused("of a revoked key", redeem(text, "console", mine))
	if _, err := b.grants.Issue(t.Context(), b.stranger, mine, access.ReadConsole, "console"); !problem.Is(err, problem.NotFound) {
		t.Errorf("a stranger gets one: %v", err)
	}
	for range 64 {
		if _, err := b.grants.Issue(t.Context(), b.admin, mine, access.ReadConsole, "console"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.grants.Issue(t.Context(), b.admin, mine, access.ReadConsole, "console"); !problem.Is(err, problem.RateLimited) {
		t.Errorf("too many: %v", err)
	}
	b.clock.Add(grant.TicketLife)
	if _, err := b.grants.Issue(t.Context(), b.admin, mine, access.ReadConsole, "console"); err != nil {
		t.Errorf("after a while: %v", err)
	}
}

func TestATicketWorksOnceHoweverManyTry(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ticket, err := b.grants.Issue(t.Context(), b.owner, mine, access.ReadConsole, "console")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	good := make(chan struct{}, 50)
	for range 50 {
		wg.Go(func() {
			if _, err := b.grants.Redeem(t.Context(), ticket.Text, "console", mine); err == nil {
				good <- struct{}{}
			}
		})
	}
	wg.Wait()
	if len(good) != 1 {
		t.Errorf("it worked %d times", len(good))
	}
}
