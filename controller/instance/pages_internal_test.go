package instance

import (
	"fmt"
	"testing"

	"github.com/berth-panel/berth/controller/httpapi"
)

func onPage(n int) httpapi.Page[InstanceView] {
	return httpapi.Page[InstanceView]{Items: make([]InstanceView, n), Total: n}
}

func TestPagesForgetWithTheNextCommit(t *testing.T) {
	t.Parallel()
	var p pages
	name := pageName{filter: Filter{Limit: 50}}
	if _, there := p.get(name, 0); there {
		t.Fatal("an empty one gives a page")
	}
	p.put(name, 3, onPage(1))
	if page, there := p.get(name, 3); !there || page.Total != 1 {
		t.Fatalf("kept: %v %v", page, there)
	}
	if _, there := p.get(name, 4); there {
		t.Error("a page outlived a commit")
	}
	p.put(name, 5, onPage(2))
	p.put(pageName{viewer: "anna"}, 4, onPage(9)) // who read before the commit comes late
	if _, there := p.get(pageName{viewer: "anna"}, 5); there {
		t.Error("what was read before a commit is given after it")
	}
	if page, there := p.get(name, 5); !there || page.Total != 2 {
		t.Error("the late one took the newer page away")
	}
}

func TestPagesTellCallersAndFiltersApart(t *testing.T) {
	t.Parallel()
	var p pages
	p.put(pageName{filter: Filter{Limit: 50}}, 1, onPage(2))
	for _, other := range []pageName{
		{viewer: "anna", filter: Filter{Limit: 50}}, {filter: Filter{Limit: 50, Offset: 50}}, {filter: Filter{Limit: 50, Owner: "anna"}},
	} {
		if _, there := p.get(other, 1); there {
			t.Errorf("%+v got another's page", other)
		}
	}
}

func TestPagesAreBounded(t *testing.T) {
	t.Parallel()
	var p pages
	for n := range 3 * mostKept {
		p.put(pageName{filter: Filter{Search: fmt.Sprint(n)}}, 1, onPage(n%3))
		if len(p.kept) > mostKept || p.items > mostKept {
			t.Fatalf("%d pages with %d instances are kept", len(p.kept), p.items)
		}
	}
	if _, there := p.get(pageName{filter: Filter{Search: fmt.Sprint(3*mostKept - 1)}}, 1); !there {
		t.Error("the newest isn't kept")
	}
}
