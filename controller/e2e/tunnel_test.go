package e2e

import (
	"net/http"
	"strings"
	"testing"

	agentapp "github.com/berth-panel/berth/agent/app"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
)

// way is how the controller reaches an agent: an edit of the agent's settings.
type way = func(*agentapp.Config)

func dialled(*agentapp.Config) {}

func tunnelled(c *agentapp.Config) { c.Tunnel = true }

// bothWays runs a test with an agent that is dialled, and with one that opens a
// tunnel.
func bothWays(t *testing.T, f func(t *testing.T, w way)) {
	t.Helper()
	for name, w := range map[string]way{"dialled": dialled, "tunnelled": tunnelled} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, w)
		})
	}
}

// connection is how the API says that the node is reached.
func (h *host) connection() string {
	h.panel.t.Helper()
	var n data[struct{ Connection string }]
	h.panel.must(http.StatusOK, "GET", "/api/v1/nodes/"+string(h.id), nil, &n)
	return n.Data.Connection
}

// An agent's own settings decide how it is reached, and a revoked one stays
// outside whatever it opens.
func TestTunnelOfANode(t *testing.T) {
	t.Parallel()
	p, h, owner := setup(t, tunnelled)
	if c := h.connection(); c != "tunnel" {
		t.Fatalf("its connection is %q", c)
	}
	p.must(http.StatusOK, "PATCH", "/api/v1/nodes/"+string(h.id), map[string]any{"connection": "dial"}, nil)
	eventually(t, "the agent's settings win", func() bool { return h.connection() == "tunnel" && p.app.Fleet.Online(h.id) })
	id, _ := h.running(h.loadProbe("serve", "8080"), owner, runtimetest.FreePort(t))

	// Without the tunnel it is offline until somebody says that it can be dialled.
	h.stop()
	h.config.Tunnel = false
	h.run(nil)
	eventually(t, "it says why", func() bool {
		return strings.Contains(p.app.Fleet.Presence(h.id).Reason, "has not opened its tunnel")
	})
	p.must(http.StatusOK, "PATCH", "/api/v1/nodes/"+string(h.id), map[string]any{"connection": "dial"}, nil)
	h.awaitOnline()
	p.awaitStatus(id, "running")

	h.stop()
	h.config.Tunnel = true
	h.run(nil)
	eventually(t, "the tunnel is back", func() bool { return h.connection() == "tunnel" && p.app.Fleet.Online(h.id) })
	p.must(http.StatusOK, "POST", "/api/v1/nodes/"+string(h.id)+"/revoke", nil, nil)
	if p.app.Fleet.Online(h.id) {
		eventually(t, "the revoked node is offline", func() bool { return !p.app.Fleet.Online(h.id) })
	}
}
