package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/identity"
	"github.com/berth-panel/berth/controller/instance"
)

// A console and live figures that a subuser has open end when his right does, and
// when the instance gets another owner; the owner's stay.
func TestOpenSocketsEndWithAShare(t *testing.T) {
	t.Parallel()
	b := setup(t)
	owner, heir := b.user("owner"), b.user("heir")
	id := b.anInstance(owner)
	sub := b.user("sub")
	key, ownerKey := b.key(sub, access.ScopeWrite), b.key(owner, access.ScopeWrite)
	put := func(rights ...access.Right) {
		t.Helper()
		if _, err := b.app.Subusers.Put(t.Context(), access.Local(), id, sub, rights); err != nil {
			t.Fatal(err)
		}
	}
	open := func(key, door string) *websocket.Conn {
		t.Helper()
		conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(b.url, "http")+"/api/v1/instances/"+string(id)+door, http.Header{"X-Api-Key": {key}})
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	ends := func(what string, conn *websocket.Conn) {
		t.Helper()
		_ = conn.SetReadDeadline(time.Now().Add(60 * time.Second))
		for {
			_, _, err := conn.ReadMessage()
			if websocket.IsCloseError(err, websocket.ClosePolicyViolation, websocket.CloseNormalClosure) {
				return
			}
			if err != nil {
				if _, told := err.(*websocket.CloseError); !told { //nolint:errorlint // gorilla gives it bare
					t.Errorf("%s: %v", what, err)
				}
				return
			}
		}
	}
	put(access.ReadConsole)
	owners := open(ownerKey, "/console")
	console, figures := open(key, "/console"), open(key, "/stats/live")
	put(access.PowerRight)
	ends("the console", console)
	if err := figures.WriteControl(websocket.PingMessage, nil, time.Now().Add(time.Second)); err != nil {
		t.Errorf("the figures, which he may see, ended: %v", err)
	}
	if _, _, err := b.app.Instances.Change(t.Context(), access.Local(), id, instance.Patch{Owner: &heir}); err != nil {
		t.Fatal(err)
	}
	ends("the figures, of another's", figures)
	ends("the former owner's console", owners)
	if list, err := b.app.Subusers.List(t.Context(), access.Local(), id); err != nil || len(list) != 0 {
		t.Errorf("the new owner has the old one's subusers: %v, %v", list, err)
	}
	if a := b.call(key, "GET", "/api/v1/instances/"+string(id), nil); a.status != http.StatusNotFound {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// Lists show what is shared, with what the caller may do with it, and nothing of
// what it is started with but to who may change that.
func TestListsShowWhatIsShared(t *testing.T) {
	t.Parallel()
	b := setup(t)
	id := b.anInstance(b.user("owner"))
	sub := b.user("sub")
	key := b.key(sub, access.ScopeRead)
	classic, err := b.app.Users.CreateKey(access.With(t.Context(), access.Local()), identity.NewKey{User: sub, Name: "c", Scopes: []access.Scope{access.ScopeWrite}, Dialect: access.V03})
	if err != nil {
		t.Fatal(err)
	}
	count := func(path string) int {
		t.Helper()
		var list []object
		b.call(key, "GET", path, nil).data(http.StatusOK, &list)
		return len(list)
	}
	lists := []string{"/api/v1/instances", "/api/v1/jobs", "/api/v1/events?instance_id=" + string(id), "/api/v1/instances?search=one"}
	for _, path := range lists {
		if n := count(path); n != 0 {
			t.Errorf("a stranger sees %d of %s", n, path)
		}
	}
	for _, tc := range []struct {
		rights []access.Right
		want   string
		env    bool
	}{
		{[]access.Right{access.ReadConsole}, "instance.see console.read", false},
		{[]access.Right{access.EditInstance, access.PowerRight}, "instance.see", true}, // his key only reads
	} {
		if _, err := b.app.Subusers.Put(t.Context(), access.Local(), id, sub, tc.rights); err != nil {
			t.Fatal(err)
		}
		for _, path := range lists {
			if n := count(path); n == 0 {
				t.Errorf("%v: nothing of %s", tc.rights, path)
			}
		}
		var listed []struct{ Rights []string }
		b.call(key, "GET", "/api/v1/instances", nil).data(http.StatusOK, &listed)
		var one struct{ Rights, Env []string }
		b.call(key, "GET", "/api/v1/instances/"+string(id), nil).data(http.StatusOK, &one)
		for _, got := range [][]string{listed[0].Rights, one.Rights} {
			if strings.Join(got, " ") != tc.want {
				t.Errorf("%v: %v", tc.rights, got)
			}
		}
		if (len(one.Env) > 0) != tc.env {
			t.Errorf("%v: %v", tc.rights, one.Env)
		}
		text := b.call(classic.Text, "GET", "/api/instances", nil).body
		if !strings.Contains(text, string(id)) || strings.Contains(text, `"Env":["SECRET=x"],"suspended"`) != tc.env {
			t.Errorf("%v: %s", tc.rights, text)
		}
	}
}
