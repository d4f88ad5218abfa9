package allocation_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/access"
	"github.com/berth-panel/berth/controller/httpapi"
	"github.com/berth-panel/berth/controller/store"
	"github.com/berth-panel/berth/shared/problem"
)

// keys are the API keys of the test: admin, reader (an admin's that only reads)
// and user.
type keys struct{}

func (keys) Authenticate(_ context.Context, key string) (access.Caller, error) {
	c := admin
	switch key {
	case "admin":
	case "reader":
		c.Scopes = []access.Scope{access.ScopeRead}
	case "user":
		c.Admin = false
	default:
		return access.Caller{}, problem.New(problem.Unauthorized, "the API key is wrong")
	}
	return c, nil
}

// serve puts the bundle behind the front door and gives its URL.
func (b *bundle) serve() string {
	b.t.Helper()
	api, err := httpapi.New(httpapi.Config{Authenticator: keys{}, DB: b.db, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		b.t.Fatal(err)
	}
	b.ports.Mount(api)
	if err := api.Err(); err != nil {
		b.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- api.Serve(ctx, ln) }()
	b.t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			b.t.Errorf("Serve: %v", err)
		}
	})
	return "http://" + ln.Addr().String()
}

type answer struct {
	status     int
	text       string
	Data       json.RawMessage
	Pagination struct{ Total int }
}

func call(t *testing.T, key, method, url, body string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	r.Header.Set("X-Api-Key", key)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: res.StatusCode, text: string(text)}
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%s %s answered %d with %q", method, url, res.StatusCode, text)
	}
	return a
}

// facts counts the facts in the log.
func (b *bundle) facts() int {
	b.t.Helper()
	n, err := store.Count(b.t.Context(), b.db.Snapshot(), `SELECT COUNT(*) FROM events`)
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func TestPoolOverHTTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	base := b.serve() + "/api/v1/nodes/a/allocations"
	if a := call(t, "admin", "POST", base, `{"ports": ["25565-25567", "80"]}`); a.status != 201 || string(a.Data) != `{"made":4,"present":0}` {
		t.Fatalf("%d %s", a.status, a.text)
	}
	if a := call(t, "admin", "POST", base, `{"ports": ["80-81"]}`); a.status != 201 || string(a.Data) != `{"made":1,"present":1}` {
		t.Fatalf("%d %s", a.status, a.text)
	}
	if _, err := b.claim(t.Context(), 1, "0.0.0.0", 80); err != nil {
		t.Fatal(err)
	}
	var list []struct {
		ID, IP        string
		Port          int
		InstanceID    string `json:"instance_id"`
		ContainerPort int    `json:"container_port"`
		Primary       bool
		Pooled        bool
	}
	a := call(t, "reader", "GET", base+"?use=used", "")
	if err := json.Unmarshal(a.Data, &list); err != nil || a.Pagination.Total != 1 || list[0].Port != 80 || list[0].IP != "0.0.0.0" ||
		list[0].InstanceID != "00000001" || list[0].ContainerPort != 80 || !list[0].Primary || !list[0].Pooled {
		t.Fatalf("%s, %v", a.text, err)
	}
	if a := call(t, "admin", "DELETE", base+"/"+list[0].ID, ""); a.status != 409 {
		t.Fatalf("one in use: %d %s", a.status, a.text)
	}
	a = call(t, "reader", "GET", base+"?use=free&limit=2&page=2", "")
	if err := json.Unmarshal(a.Data, &list); err != nil || a.Pagination.Total != 4 || len(list) != 2 || list[0].Port != 25566 {
		t.Fatalf("%s, %v", a.text, err)
	}
	if a := call(t, "admin", "DELETE", base+"/"+list[0].ID, ""); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	if a := call(t, "admin", "DELETE", base+"/"+list[0].ID, ""); a.status != 404 {
		t.Fatalf("the second time: %d %s", a.status, a.text)
	}
	b.want("0.0.0.0:80 pooled 1>80*", "0.0.0.0:81 pooled", "0.0.0.0:25565 pooled", "0.0.0.0:25567 pooled")
	if b.facts() != 3 {
		t.Fatalf("%d facts", b.facts())
	}
}

func TestRefusedCallsChangeNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	url := b.serve()
	b.add("", "80")
	before, facts := b.table(), b.facts()
	for name, c := range map[string]struct {
		key, method, path, body string
		status                  int
	}{
		"no key":             {"", "GET", "a/allocations", "", 401},
		"a user's key":       {"user", "GET", "a/allocations", "", 403},
		"a user fills":       {"user", "POST", "a/allocations", `{"ports": ["90"]}`, 403},
		"a reader fills":     {"reader", "POST", "a/allocations", `{"ports": ["90"]}`, 403},
		"a reader deletes":   {"reader", "DELETE", "a/allocations/x", "", 403},
		"unknown node":       {"admin", "GET", "nobody/allocations", "", 404},
		"fill unknown node":  {"admin", "POST", "nobody/allocations", `{"ports": ["90"]}`, 404},
		"no ports":           {"admin", "POST", "a/allocations", `{"ports": []}`, 422},
		"ports as text":      {"admin", "POST", "a/allocations", `{"ports": "90"}`, 422},
		"ports as numbers":   {"admin", "POST", "a/allocations", `{"ports": [90]}`, 422},
		"no such port":       {"admin", "POST", "a/allocations", `{"ports": ["90", "99999"]}`, 422},
		"too many ports":     {"admin", "POST", "a/allocations", `{"ports": ["1-65535"]}`, 422},
		"not an IP":          {"admin", "POST", "a/allocations", `{"ports": ["90"], "ip": "x"}`, 422},
		"overlapping":        {"admin", "POST", "a/allocations", `{"ports": ["79-81"], "ip": "10.0.0.1"}`, 409},
		"not JSON":           {"admin", "POST", "a/allocations", `ports`, 400},
		"unknown use":        {"admin", "GET", "a/allocations?use=mine", "", 422},
		"limit 0":            {"admin", "GET", "a/allocations?limit=0", "", 422},
		"unknown allocation": {"admin", "DELETE", "a/allocations/x", "", 404},
	} {
		if a := call(t, c.key, c.method, url+"/api/v1/nodes/"+c.path, c.body); a.status != c.status {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	if !slices.Equal(b.table(), before) || b.facts() != facts {
		t.Errorf("something was changed: %v", b.table())
	}
}
