package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/berth-panel/berth/shared/ident"
)

// Lists are kept between commits: whoever changed something must find it
// changed, and nobody may get what was kept for another.
func TestListsShowEveryChange(t *testing.T) {
	t.Parallel()
	p := startPanel(t, "")
	var host data[struct{ Node struct{ ID string } }]
	p.must(http.StatusCreated, "POST", "/api/v1/nodes", map[string]any{"name": "a", "address": "127.0.0.1", "port": 8443, "memory": 4096, "disk": 409600}, &host)
	p.letIn(ident.Node(host.Data.Node.ID))
	anna, ben := p.user("anna"), p.user("ben")
	reference := "berth-test/none:1"
	p.must(http.StatusCreated, "POST", "/api/v1/images/import", map[string]any{"Name": "none", "Image": reference, "StopCommand": "stop"}, nil)
	var ids []string
	for n := range 5 {
		var made data[struct{ Instance struct{ ID string } }]
		p.must(http.StatusAccepted, "POST", "/api/v1/instances", map[string]any{
			"name": fmt.Sprint("n", n), "owner_id": []string{anna, ben}[n%2], "node_id": host.Data.Node.ID, "reference": reference, "memory": 64, "cpu": 0.5,
			"ports": []map[string]any{{"container": 80, "host": 20000 + n}},
		}, &made)
		ids = append(ids, made.Data.Instance.ID)
		if names := p.listed(adminKey, ""); len(names) != n+1 {
			t.Fatalf("after %d creates the list has %v", n+1, names)
		}
		p.holds(n + 1)
	}
	for query, want := range map[string][]string{
		"?sort=name": {"n0", "n1", "n2", "n3", "n4"}, "?sort=-name&limit=2": {"n4", "n3"}, "?sort=name&limit=2&page=3": {"n4"},
		"?limit=2&page=4": {}, "?sort=name&limit=3&owner_id=" + ben: {"n1", "n3"}, "?search=n3": {"n3"}, "?ids=nobody," + ids[3] + "&sort=name": {"n3"},
	} {
		for range 2 { // read, then kept
			if got := p.listed(adminKey, query); !slices.Equal(got, want) {
				t.Errorf("%s gives %v, want %v", query, got, want)
			}
		}
	}
	for _, sort := range []string{"created_at", "-created_at", "memory", "-cpu"} { // most are equal: the id decides
		var all []string
		for page := range 3 {
			all = append(all, p.listed(adminKey, fmt.Sprintf("?limit=2&sort=%s&page=%d", sort, page+1))...)
		}
		if slices.Sort(all); !slices.Equal(all, []string{"n0", "n1", "n2", "n3", "n4"}) {
			t.Errorf("the pages by %s hold %v", sort, all)
		}
	}
	var key data[struct{ Key string }]
	p.must(http.StatusCreated, "POST", "/api/v1/keys", map[string]any{"name": "anna's", "user_id": anna, "scopes": []string{"read"}}, &key)
	if got := p.listed(key.Data.Key, "?sort=name"); !slices.Equal(got, []string{"n0", "n2", "n4"}) {
		t.Errorf("anna sees %v", got)
	}
	p.must(http.StatusAccepted, "DELETE", "/api/v1/instances/"+ids[0]+"?forget=true", nil, nil)
	if got := p.listed(adminKey, "?sort=name"); slices.Contains(got, "n0") {
		t.Errorf("after the delete: %v", got)
	}
	p.holds(4)
}

// holds checks how many instances a list says that there are, which nobody counts.
func (p *panel) holds(want int) {
	p.t.Helper()
	var page struct{ Pagination struct{ Total int } }
	p.must(http.StatusOK, "GET", "/api/v1/instances?limit=1", nil, &page)
	if page.Pagination.Total != want {
		p.t.Errorf("the list says %d instances, want %d", page.Pagination.Total, want)
	}
}

// listed gives the names on a page, and checks that the page counts right.
func (p *panel) listed(key, query string) []string {
	p.t.Helper()
	status, text := p.raw(key, "GET", "/api/v1/instances"+query, nil)
	var page struct {
		Data       []struct{ Name string }
		Pagination struct{ Page, Limit, Total, Pages int }
	}
	if err := json.Unmarshal(text, &page); err != nil || status != http.StatusOK {
		p.t.Fatalf("%s: %d %s %v", query, status, text, err)
	}
	names := []string{}
	for _, i := range page.Data {
		names = append(names, i.Name)
	}
	if g := page.Pagination; len(names) > g.Limit || g.Total < len(names) || g.Pages != (g.Total+g.Limit-1)/g.Limit {
		p.t.Errorf("%s: %+v with %d names", query, g, len(names))
	}
	return names
}
