package live

import (
	"testing"
	"time"
)

// Proxies cut what is silent for a minute.
func TestBeatsComeOftenEnoughForProxies(t *testing.T) {
	t.Parallel()
	if p := usualPace(); p.beat > 30*time.Second || p.dead < 2*p.beat {
		t.Errorf("%+v", p)
	}
}
