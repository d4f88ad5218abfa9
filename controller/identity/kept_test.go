package identity_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
)

// TestWhatWasMadeIsAnsweredAfterADeath: the call dies between its commit and its
// answer, and whoever repeats it gets the answer, not a conflict or a second key.
func TestWhatWasMadeIsAnsweredAfterADeath(t *testing.T) {
	t.Parallel()
	b := setup(t)
	dying := func(path string, do func(ctx context.Context) error) {
		httpapi.Handle(b.api, httpapi.Operation{ID: path, Method: http.MethodPost, Path: "/api/v1/test/" + path, Summary: path,
			Access: access.Needs(access.ScopeWrite), Status: http.StatusCreated, Idempotent: true},
			func(ctx context.Context, _ *struct{}) (identity.MeView, error) {
				if err := do(ctx); err != nil {
					return identity.MeView{}, err
				}
				panic("the end")
			})
	}
	dying("user", func(ctx context.Context) error {
		_, err := b.svc.CreateUser(ctx, identity.NewUser{Username: "ann", Email: "ann@example.org", Password: "long enough"})
		return err
	})
	dying("key", func(ctx context.Context) error {
		_, err := b.svc.CreateKey(ctx, identity.NewKey{Name: "mine", Scopes: []access.Scope{access.ScopeRead}})
		return err
	})
	b.serve()
	for path, want := range map[string]string{"user": `"username":"ann"`, "key": `"name":"mine"`} {
		if a := b.do(adminKey, "POST", "/api/v1/test/"+path, "", "Idempotency-Key", path); a.status != 500 {
			t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
		a := b.do(adminKey, "POST", "/api/v1/test/"+path, "", "Idempotency-Key", path)
		if a.status != 201 || !strings.Contains(a.body, want) || strings.Contains(a.body, "berth_") && strings.Contains(a.body, `"key":`) || a.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for table, want := range map[string]int{"users": 2, "api_keys": 2} {
		if n, err := store.Count(b.ctx(), b.db.Snapshot(), `SELECT COUNT(*) FROM `+table); err != nil || n != want {
			t.Errorf("%d rows of %s, %v", n, table, err)
		}
	}
}
