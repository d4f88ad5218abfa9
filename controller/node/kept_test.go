package node_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/node"
	"github.com/berth-panel/berth/controller/store"
)

// TestWhatWasMadeIsAnsweredAfterADeath: the call dies between its commit and its
// answer, and whoever repeats it gets the answer, not a conflict or a second key.
func TestWhatWasMadeIsAnsweredAfterADeath(t *testing.T) {
	t.Parallel()
	p := setupPanel(t, func(b *bundle, a *httpapi.API) {
		dying := func(path string, do func(ctx context.Context) error) {
			httpapi.Handle(a, httpapi.Operation{ID: path, Method: http.MethodPost, Path: "/api/v1/test/" + path, Summary: path,
				Access: access.Permits(access.WriteNodes), Status: http.StatusCreated, Idempotent: true},
				func(ctx context.Context, _ *struct{}) (httpapi.Done, error) {
					if err := do(ctx); err != nil {
						return httpapi.Done{}, err
					}
					panic("the end")
				})
		}
		dying("node", func(ctx context.Context) error {
			_, _, err := b.nodes.Create(ctx, access.From(ctx), node.Spec{Name: "kept", Address: "192.0.2.1", Port: 8443, MemoryMiB: 1, DiskMiB: 1})
			return err
		})
		dying("join", func(ctx context.Context) error {
			_, err := b.nodes.NewJoinKey(ctx, access.From(ctx), node.Join{Name: "many"})
			return err
		})
	})
	for path, want := range map[string]string{"node": `"name":"kept"`, "join": `"key_id":"`} {
		if a := p.do("admin", "POST", "/api/v1/test/"+path, "", "Idempotency-Key="+path); a.status != 500 {
			t.Fatalf("%s: %s", path, a.text)
		}
		a := p.do("admin", "POST", "/api/v1/test/"+path, "", "Idempotency-Key="+path)
		if a.status != 201 || !strings.Contains(a.text, want) || strings.Contains(a.text, `"key":"berth`) {
			t.Errorf("%s: %s", path, a.text)
		}
	}
	for table, want := range map[string]int{"nodes": 1, "enrolment_keys": 2} {
		if n, err := store.Count(t.Context(), p.db.Snapshot(), `SELECT COUNT(*) FROM `+table); err != nil || n != want {
			t.Errorf("%d rows of %s, %v", n, table, err)
		}
	}
}
