package instance

import (
	"sync"

	"github.com/berth-panel/berth/controller/httpapi"
)

// mostKept bounds what pages keeps, in instances on them.
const mostKept = 5000

// pages keeps the pages of lists for as long as nothing was committed: panels
// and dashboards ask for the same few of them again and again. It is safe for
// concurrent use; what it gives must not be changed.
type pages struct {
	mu      sync.Mutex
	version uint64 // of the database, at which all of them were read or later
	kept    map[pageName]httpapi.Page[InstanceView]
	items   int
}

// pageName is what a page depends on besides the database.
type pageName struct {
	viewer string // access.Caller.View
	filter Filter
}

// get gives the page as it is at that version or later.
func (p *pages) get(name pageName, version uint64) (httpapi.Page[InstanceView], bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.version != version {
		return httpapi.Page[InstanceView]{}, false
	}
	page, there := p.kept[name]
	return page, there
}

// put keeps a page that was read after the database had that version. Pages of
// older versions are forgotten.
func (p *pages) put(name pageName, version uint64, page httpapi.Page[InstanceView]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if version < p.version {
		return
	}
	_, there := p.kept[name]
	if version > p.version || p.kept == nil || p.items+len(page.Items) >= mostKept {
		p.version, p.kept, p.items = version, map[pageName]httpapi.Page[InstanceView]{}, 0
	} else if there {
		return // somebody was faster
	}
	p.kept[name] = page
	p.items += len(page.Items) + 1
}
