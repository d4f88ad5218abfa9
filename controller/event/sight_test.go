package event_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/ident"
)

func TestSightOf(t *testing.T) {
	t.Parallel()
	read := []access.Scope{access.ScopeRead}
	actor := access.Actor{Via: access.ViaKey, User: "anna"}
	for name, tc := range map[string]struct {
		who  access.Caller
		want event.Sight
	}{
		"nobody":           {access.Caller{}, event.Sight{}},
		"an admin":         {access.Caller{Actor: actor, Admin: true, Scopes: read}, event.Sight{All: true, Me: "anna"}},
		"a customer":       {access.Caller{Actor: actor, Scopes: read}, event.Sight{Me: "anna"}},
		"who reads it all": {access.Caller{Actor: actor, Scopes: read, Permissions: []access.Permission{access.ReadAll}}, event.Sight{All: true, Me: "anna"}},
		"a role": {access.Caller{Actor: actor, Scopes: read, Permissions: []access.Permission{access.ReadInstances, access.ReadNodes}},
			event.Sight{Me: "anna", Instances: true, Nodes: true}},
		"who sees to people": {access.Caller{Actor: actor, Scopes: read, Permissions: []access.Permission{access.ReadUsers, access.WriteUsers}},
			event.Sight{Me: "anna", Things: []string{"role", "user"}}},
		"a subuser": {access.Caller{Actor: actor, Scopes: read, Shares: map[ident.Instance][]access.Right{
			"a": {access.SeeInstance}, "b": {access.ReadActivity}, "c": {access.ReadConsole}}},
			event.Sight{Me: "anna", Told: []ident.Instance{"b"}, Shown: []ident.Instance{"a", "c"}}},
		"an admin whose key lacks the scope": {access.Caller{Actor: actor, Admin: true}, event.Sight{Me: "anna"}},
	} {
		if got := event.SightOf(tc.who); !got.Equal(tc.want) {
			t.Errorf("%s sees %+v", name, got)
		}
	}
}

// What SQL lets through is what Sees lets through, whoever looks.
func TestSightIsTheSameEverywhere(t *testing.T) {
	t.Parallel()
	l, db := setup(t)
	chance := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same ones each time
	pick := func(of ...string) string { return of[chance.IntN(len(of))] }
	err := db.Write(t.Context(), func(tx *store.Tx) error {
		for range 600 {
			err := l.Append(t.Context(), tx, event.Event{
				Type:     event.Type(pick("instance.started", "instance.command", "job.done", "file.written", "user.updated", "role.created", "image.updated", "node.online")),
				Owner:    ident.User(pick("", "anna", "bob")),
				Instance: ident.Instance(pick("", "i1", "i2", "i3")),
				Node:     ident.Node(pick("", "n1")),
				Subject:  pick("", "anna", "k"),
				Actor:    access.Actor{Via: access.Via(pick("key", "system")), User: ident.User(pick("", "anna", "bob")), Address: "192.0.2.1"},
			}, nil)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all, _, err := l.List(t.Context(), db.Snapshot(), event.Filter{Sight: event.Everything(), Limit: 1000})
	if err != nil || len(all) != 600 {
		t.Fatal(len(all), err)
	}
	many := event.Sight{Me: "bob", Told: []ident.Instance{"i3"}}
	for n := range 200 {
		many.Shown = append(many.Shown, ident.Instance(fmt.Sprint("x", n)))
	}
	many.Shown = append(many.Shown, "i2")
	for _, sight := range []event.Sight{
		{}, {Me: "anna"}, {Me: "carl"}, {Told: []ident.Instance{"i1"}}, {Shown: []ident.Instance{"i1", "i2"}}, {Instances: true}, {Nodes: true}, {Things: []string{"role", "user"}},
		{Me: "anna", Told: []ident.Instance{"i1"}, Shown: []ident.Instance{"i2"}, Nodes: true}, {Me: "anna", Instances: true, Nodes: true}, {Me: "anna", Nodes: true, Things: []string{"image"}}, many,
	} {
		var want []int64
		for _, e := range all {
			if sight.Sees(e) {
				want = append(want, e.ID)
			}
		}
		got, total, err := l.List(t.Context(), db.Snapshot(), event.Filter{Sight: sight, Limit: 1000})
		if err != nil || total != len(want) || !slices.Equal(numbers(got), want) {
			t.Errorf("%+v: %d of %d: %v", sight, len(got), len(want), err)
		}
		rising, _, err := l.List(t.Context(), db.Snapshot(), event.Filter{Sight: sight, After: 300, Limit: 7, Offset: 2})
		slices.Reverse(want)
		later := slices.DeleteFunc(want, func(id int64) bool { return id <= 300 })
		if later = later[min(2, len(later)):]; err != nil || !slices.Equal(numbers(rising), later[:min(7, len(later))]) {
			t.Errorf("%+v, rising: %v, %v", sight, numbers(rising), err)
		}
		for _, e := range got {
			mine := sight.Me != "" && (e.Actor.User == sight.Me || e.Owner == sight.Me || e.Subject == string(sight.Me)) || slices.Contains(sight.Told, e.Instance)
			if shown := sight.View(e).Actor.Address != ""; shown != mine {
				t.Errorf("%+v: the actor of %+v: %v", sight, e, shown)
			}
		}
	}
}

func numbers(list []event.Event) (out []int64) {
	for _, e := range list {
		out = append(out, e.ID)
	}
	return out
}

func TestWhatHappenedIsNotChanged(t *testing.T) {
	t.Parallel()
	l, db := setup(t)
	add(t, l, db, event.Event{Type: "x.y", Actor: access.System()})
	for _, change := range []string{`UPDATE events SET type = 'x.z'`, `UPDATE events SET actor = '{}' WHERE id = 1`} {
		err := db.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.ExecContext(t.Context(), change)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "what happened is not changed") {
			t.Errorf("%s: %v", change, err)
		}
	}
}
