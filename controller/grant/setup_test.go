package grant_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/grant"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/roomtest"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"), // ends at its next tick
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),    // one for the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp/stackless.NewFunc.func1"),
	)
}

const (
	patience = 60 * time.Second
	mine     = ident.Instance("00000001")
	other    = ident.Instance("00000002")
)

// instances are instances in memory; what changes is told as an event, in a
// transaction, as the real ones do.
type instances struct {
	mu   sync.Mutex
	of   map[ident.Instance]instance.Instance
	fail error
	read int
}

func (s *instances) Get(_ context.Context, c access.Caller, id ident.Instance) (instance.Instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read++
	i, ok := s.of[id]
	if s.fail != nil {
		return instance.Instance{}, s.fail
	}
	if !ok || !c.SeesInstance(i.Of()) {
		return instance.Instance{}, problem.New(problem.NotFound, "there is no such instance")
	}
	return i, nil
}

func (s *instances) broken(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *instances) reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read
}

type bundle struct {
	t         *testing.T
	db        *store.DB
	events    *event.Log
	clock     *roomtest.Clock
	users     *identity.Service
	instances *instances
	grants    *grant.Service
	admin     access.Caller
	owner     access.Caller
	stranger  access.Caller
}

// setup has an admin, a stranger, and an owner with one instance; another
// instance is the admin's.
func setup(t *testing.T) *bundle {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	db := roomtest.Store(t)
	b := &bundle{t: t, db: db, clock: roomtest.NewClock(), instances: &instances{of: map[ident.Instance]instance.Instance{}}}
	b.events = event.New(b.clock.Now)
	var err error
	b.users, err = identity.New(identity.Config{DB: db, Events: b.events, Logger: log, Now: b.clock.Now, Hash: identity.Cost{MemoryKiB: 8, Passes: 1}})
	roomtest.Must(t, err)
	b.grants = grant.NewService(grant.Deps{DB: db, Events: b.events, Instances: b.instances, Callers: b.users, Log: log, Now: b.clock.Now})
	b.admin, b.owner, b.stranger = b.user("admin", true), b.user("owner", false), b.user("stranger", false)
	b.user("reserve", true) // so that the admin can be demoted
	b.instances.of[mine] = instance.Instance{ID: mine, Owner: b.owner.User, Phase: instance.Ready}
	b.instances.of[other] = instance.Instance{ID: other, Owner: b.admin.User, Phase: instance.Ready}
	roomtest.Run(t, b.grants.Run)
	<-grant.Ready(b.grants)
	return b
}

func (b *bundle) local() context.Context { return access.With(b.t.Context(), access.Local()) }

// user makes a user with a key, and gives him as he calls.
func (b *bundle) user(name string, admin bool) access.Caller {
	b.t.Helper()
	u, err := b.users.CreateUser(b.local(), identity.NewUser{Username: name, Email: name + "@example.org", Password: "long enough", Admin: admin})
	if err != nil {
		b.t.Fatal(err)
	}
	scope := access.ScopeWrite
	if admin {
		scope = access.ScopeAdmin
	}
	return b.key(u.ID, scope, nil)
}

func (b *bundle) key(user ident.User, scope access.Scope, expires *time.Time) access.Caller {
	b.t.Helper()
	k, err := b.users.CreateKey(b.local(), identity.NewKey{User: user, Name: "key", Scopes: []access.Scope{scope}, Expires: expires})
	if err != nil {
		b.t.Fatal(err)
	}
	c, err := b.users.Authenticate(b.t.Context(), k.Text)
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// change changes an instance and tells of it.
func (b *bundle) change(id ident.Instance, fact event.Type, edit func(*instance.Instance)) {
	b.t.Helper()
	err := b.db.Write(b.t.Context(), func(tx *store.Tx) error {
		b.instances.mu.Lock()
		defer b.instances.mu.Unlock()
		i := b.instances.of[id]
		edit(&i)
		b.instances.of[id] = i
		return b.events.Append(b.t.Context(), tx, event.Event{Type: fact, Owner: i.Owner, Instance: id, Actor: access.System()}, nil)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) hold(c access.Caller, id ident.Instance, r access.Right) (context.Context, func()) {
	b.t.Helper()
	held, release, err := b.grants.Hold(b.t.Context(), c, id, r)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(release)
	return held, release
}

// ends waits until the hold is over, for that reason.
func (b *bundle) ends(held context.Context, code problem.Code, cause error) {
	b.t.Helper()
	select {
	case <-held.Done():
	case <-time.After(patience):
		b.t.Fatal("the hold did not end")
	}
	p := grant.Reason(held)
	if p.Code != code || !errors.Is(p, cause) || p.Message == "" {
		b.t.Errorf("it ended with %s, %v", p.Code, p)
	}
}
