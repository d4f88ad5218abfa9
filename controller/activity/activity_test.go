package activity_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/activity"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/instance"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

// people are the callers by their keys, and owners of instances.
type people map[string]access.Caller

func (p people) Authenticate(_ context.Context, key string) (access.Caller, error) {
	c, ok := p[key]
	if !ok {
		return access.Caller{}, problem.New(problem.Unauthorized, "the API key is wrong")
	}
	return c, nil
}

func (p people) Allow(_ context.Context, c access.Caller, id ident.Instance, right access.Right) (instance.Instance, error) {
	owner := map[ident.Instance]ident.User{"i1": "anna", "i2": "bob"}[id]
	if owner == "" || !c.May(right, access.Of{Instance: id, Owner: owner}) {
		return instance.Instance{}, problem.New(problem.NotFound, "there is no such instance")
	}
	return instance.Instance{ID: id, Owner: owner}, nil
}

type bench struct {
	t      *testing.T
	db     *store.DB
	events *event.Log
	now    time.Time
	url    string
}

func setup(t *testing.T) *bench {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "berth.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b := &bench{t: t, db: db, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)}
	b.events = event.New(func() time.Time { return b.now })
	who := people{}
	caller := func(name string, more func(*access.Caller)) {
		none := 0
		c := access.Caller{Actor: access.Actor{Via: access.ViaKey, User: ident.User(name)}, Scopes: []access.Scope{access.ScopeRead}, RateLimit: &none}
		more(&c)
		who[name] = c
	}
	caller("root", func(c *access.Caller) { c.Admin = true })
	caller("auditor", func(c *access.Caller) { c.Permissions = []access.Permission{access.ReadAll} })
	caller("support", func(c *access.Caller) {
		c.Permissions = []access.Permission{access.ReadInstances, access.ReadNodes}
	})
	caller("anna", func(*access.Caller) {})
	caller("bob", func(*access.Caller) {})
	caller("told", func(c *access.Caller) { c.Shares = map[ident.Instance][]access.Right{"i1": {access.ReadActivity}} })
	caller("shown", func(c *access.Caller) { c.Shares = map[ident.Instance][]access.Right{"i1": {access.ReadConsole}} })
	api, err := httpapi.New(httpapi.Config{Authenticator: who, DB: db, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Title: "Berth", Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	activity.New(db, b.events, who).Mount(api)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.url = "http://" + ln.Addr().String() + "/api/v1"
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { _ = api.Serve(ctx, ln) })
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections(); cancel(); serving.Wait() })
	b.fill()
	return b
}

// fill writes ten facts, an hour apart.
func (b *bench) fill() {
	b.t.Helper()
	by := func(via access.Via, user ident.User) access.Actor {
		return access.Actor{Via: via, User: user, Username: "name of " + string(user), Address: "192.0.2." + fmt.Sprint(len(user))}
	}
	for _, e := range []event.Event{
		{Type: "user.created", Owner: "anna", Subject: "anna", Actor: by(access.ViaKey, "root")},
		{Type: "instance.created", Owner: "anna", Instance: "i1", Actor: by(access.ViaKey, "root")},
		{Type: "instance.created", Owner: "bob", Instance: "i2", Actor: by(access.ViaKey, "root")},
		{Type: "file.written", Owner: "anna", Instance: "i1", Actor: by(access.ViaSession, "anna")},
		{Type: "file.deleted", Owner: "anna", Instance: "i1", Actor: by(access.ViaSFTP, "told")},
		{Type: "instance.started", Owner: "bob", Instance: "i2", Actor: access.System()},
		{Type: "node.online", Node: "n1", Actor: access.System()},
		{Type: "image.updated", Subject: "img", Actor: by(access.ViaLocal, "")},
		{Type: "session.refused", Owner: "bob", Subject: "bob", Actor: by(access.ViaSession, "")},
		{Type: "settings.changed", Subject: "mail", Actor: by(access.ViaSession, "root")},
	} {
		err := b.db.Write(b.t.Context(), func(tx *store.Tx) error {
			return b.events.Append(b.t.Context(), tx, e, map[string]string{"path": "world/" + string(e.Type), "odd": "50%_off"})
		})
		if err != nil {
			b.t.Fatal(err)
		}
		b.now = b.now.Add(time.Hour)
	}
}

type listed struct {
	Success    bool
	Data       []event.EventView
	Pagination struct{ Total, Pages int }
	Error      struct{ Code problem.Code }
}

func (b *bench) get(who, path string) (out listed, ids []int64) {
	b.t.Helper()
	q, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+path, http.NoBody)
	if err != nil {
		b.t.Fatal(err)
	}
	q.Header.Set("X-Api-Key", who)
	answer, err := http.DefaultClient.Do(q)
	if err != nil {
		b.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || json.Unmarshal(text, &out) != nil {
		b.t.Fatalf("%s: %s %v", path, text, err)
	}
	for _, e := range out.Data {
		ids = append(ids, e.ID)
	}
	return out, ids
}

func TestWhoSeesWhat(t *testing.T) {
	t.Parallel()
	b := setup(t)
	all := []int64{10, 9, 8, 7, 6, 5, 4, 3, 2, 1}
	for who, want := range map[string][]int64{
		"root": all, "auditor": all, "support": nil, "anna": {5, 4, 2, 1}, "bob": {9, 6, 3}, "told": {5, 4, 2}, "shown": nil,
	} {
		if got, ids := b.get(who, "/activity"); !got.Success || !slices.Equal(ids, want) || got.Pagination.Total != len(want) {
			t.Errorf("%s sees %v of %d, want %v", who, ids, got.Pagination.Total, want)
		}
	}
	for who, sees := range map[string]bool{"root": true, "anna": true, "told": true, "bob": false, "shown": false} {
		got, ids := b.get(who, "/instances/i1/activity")
		if sees && !slices.Equal(ids, []int64{5, 4, 2}) || !sees && got.Error.Code != problem.NotFound && got.Error.Code != problem.Forbidden {
			t.Errorf("%s: %v %+v", who, ids, got.Error)
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for query, want := range map[string][]int64{
		"actor=root": {10, 3, 2, 1}, "via=sftp": {5}, "via=system": {7, 6}, "type=file": {5, 4}, "type=file.written": {4}, "type=fil": nil,
		"instance_id=i2": {6, 3}, "since=2026-11-22T20:00:00Z": {10, 9}, "until=2026-11-22T14:00:00Z": {2, 1}, "since=2027-01-01T00:00:00Z": nil, "until=2020-01-01T00:00:00Z": nil,
		"since=2026-11-22T14:00:00Z&until=2026-11-22T16:00:00Z": {4, 3}, "search=name+of+told": {5}, "search=WORLD/node": {7}, "search=50%25_": {10, 9, 8, 7, 6, 5, 4, 3, 2, 1},
		"search=5%25%25": nil, "search=192.0.2.0": {9, 8}, "type=instance&actor=root&search=i": {3, 2}, "limit=3&page=2": {7, 6, 5}, "limit=3&page=9": nil,
	} {
		if got, ids := b.get("root", "/activity?"+query); !got.Success || !slices.Equal(ids, want) {
			t.Errorf("%s: %v %+v, want %v", query, ids, got.Error, want)
		}
	}
	if _, ids := b.get("anna", "/activity?type=file&via=session"); !slices.Equal(ids, []int64{4}) {
		t.Errorf("a customer's: %v", ids)
	}
	for _, bad := range []string{"via=door", "type=a%27b", "since=yesterday", "page=999&limit=500", "what=x", "page=0"} {
		if got, _ := b.get("root", "/activity?"+bad); got.Success || got.Error.Code != problem.Validation {
			t.Errorf("%s: %+v", bad, got)
		}
	}
}
