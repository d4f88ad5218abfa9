package registry

import (
	"maps"
	"sync"
	"time"

	"github.com/berth-panel/berth/shared/ident"
)

// told is what each node was told last, and what orders to it have named.
type told struct {
	mu     sync.Mutex
	logins map[ident.Node]map[string]time.Time // by host: when the login was changed
	extra  map[ident.Node]map[string]bool      // hosts of orders: a volume that moves there isn't its instance yet
}

func newTold() told {
	return told{logins: map[ident.Node]map[string]time.Time{}, extra: map[ident.Node]map[string]bool{}}
}

// covers says whether a node holds what it should for these hosts; current, that
// what it was told stands. What it should hold is kept as asked for.
func (t *told) covers(node ident.Node, hosts []string, known map[string]login, current bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	good := true
	for _, h := range hosts {
		l, there := known[h]
		if there && t.extra[node] == nil {
			t.extra[node] = map[string]bool{}
		}
		if there {
			t.extra[node][h] = true
			good = good && current
		}
		good = good && t.logins[node][h].Equal(l.UpdatedAt) // both zero: it should have none, and has none
	}
	return good
}

func (t *told) keep(node ident.Node, logins map[string]time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.logins[node] = logins
}

// asked are the hosts that orders to the node have named.
func (t *told) asked(node ident.Node) map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := maps.Clone(t.extra[node])
	if out == nil {
		out = map[string]bool{}
	}
	return out
}

// unask forgets what orders to the node have named; what its instances name
// counts on.
func (t *told) unask(node ident.Node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.extra, node)
}

// forget drops a node that is no more.
func (t *told) forget(node ident.Node) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.logins, node)
	delete(t.extra, node)
}
