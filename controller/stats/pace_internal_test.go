package stats

import (
	"testing"
	"time"
)

// Proxies cut what is silent for a minute.
func TestPingsComeOftenEnoughForProxies(t *testing.T) {
	t.Parallel()
	if p := usualPace(); p.ping > 30*time.Second || p.dead < 2*p.ping {
		t.Errorf("%+v", p)
	}
}
