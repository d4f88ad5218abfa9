package httpapi

import (
	"testing"
	"time"
)

// Proxies cut what is silent for a minute.
func TestBeatsComeOftenEnoughForProxies(t *testing.T) {
	t.Parallel()
	if p := usualPace(); time.Duration(p.beats)*p.recheck > 30*time.Second {
		t.Errorf("%+v", p)
	}
}
