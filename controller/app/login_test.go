package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/event"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/store"
)

// The first admin logs in to the panel, does something and goes; the log says that
// it was by the panel.
func TestLoginToThePanel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	in := b.call("", http.MethodPost, "/api/v1/login", object{"name": "admin", "password": password})
	cookie, _, _ := strings.Cut(in.header.Get("Set-Cookie"), ";")
	csrf, _ := in.object(http.StatusOK)["csrf"].(string)
	send := func(method, path string, headers ...string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(`{"username":"anna","email":"anna@example.org","password":"long enough"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Cookie", cookie)
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if got := send(http.MethodPost, "/api/v1/users"); got != http.StatusForbidden {
		t.Errorf("without the token: %d", got)
	}
	if got := send(http.MethodPost, "/api/v1/users", "X-Csrf-Token", csrf); got != http.StatusCreated {
		t.Errorf("with it: %d", got)
	}
	var made []event.Event
	err := b.app.DB.Read(t.Context(), func(q store.Querier) (err error) {
		made, _, err = b.app.Events.List(t.Context(), q, event.Filter{Sight: event.Everything(), Limit: 10})
		return err
	})
	if err != nil || csrf == "" {
		t.Fatal(err)
	}
	if made[0].Type != identity.UserCreated || made[0].Actor.Via != access.ViaSession || made[0].Actor.Username != "admin" || made[0].Actor.Address != "127.0.0.1" {
		t.Errorf("%+v", made[0])
	}
	if got := send(http.MethodPost, "/api/v1/logout", "X-Csrf-Token", csrf); got != http.StatusOK {
		t.Errorf("out: %d", got)
	}
	if got := send(http.MethodGet, "/api/v1/session"); got != http.StatusUnauthorized {
		t.Errorf("after that: %d", got)
	}
}
