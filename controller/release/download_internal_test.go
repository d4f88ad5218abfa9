package release

import "testing"

// One network that holds on to all it can get keeps nobody else from fetching.
func TestDownloadsOfOneNetwork(t *testing.T) {
	t.Parallel()
	d := downloads{of: map[string]int{}}
	var leave []func()
	for {
		l, ok := d.enter("slow")
		if !ok {
			break
		}
		leave = append(leave, l)
	}
	if len(leave) != downloadsEach {
		t.Fatalf("%d for one network", len(leave))
	}
	for _, network := range []string{"a", "b", "c", "d"} {
		for {
			l, ok := d.enter(network)
			if !ok {
				break
			}
			leave = append(leave, l)
		}
	}
	if len(leave) != downloadsAtOnce || d.of["d"] != 0 {
		t.Fatalf("%d in all, %v", len(leave), d.of)
	}
	for _, l := range leave {
		l()
	}
	if d.open != 0 || len(d.of) != 0 {
		t.Errorf("%d are left: %v", d.open, d.of)
	}
	if _, ok := d.enter("slow"); !ok {
		t.Error("no place comes back")
	}
}
