package instance

import (
	"testing"
	"testing/synctest"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// fences note whom they were told to keep.
type fences struct {
	ids  []ident.Instance // whom rules stand for
	open map[ident.Instance][]wire.Port
	held map[ident.Instance]bool
}

func (f *fences) MAC(ident.Instance) string                            { return "" }
func (f *fences) Hold(ident.Instance, wire.Network, []wire.Port) error { return nil }
func (f *fences) Release(ident.Instance)                               {}
func (f *fences) State() wire.Firewall                                 { return wire.Firewall{Works: true} }
func (f *fences) Keep(held func(ident.Instance) (wire.Network, []wire.Port, bool)) {
	f.open, f.held = map[ident.Instance][]wire.Port{}, map[ident.Instance]bool{}
	for _, id := range f.ids {
		_, f.open[id], f.held[id] = held(id)
	}
}

// TestFencesStandForWhatRuns: a container that the journal has forgotten runs on,
// and reaches no more than before.
func TestFencesStandForWhatRuns(t *testing.T) {
	t.Parallel()
	const gone = ident.Instance("000000ff")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f := &fences{ids: []ident.Instance{one, gone}}
		w.fence = f
		w.boot()
		defer func() { w.stop() }()
		w.apply(basic(one, 1))
		w.running(one)
		w.reboot()
		if !f.held[one] || len(f.open[one]) != 1 || f.held[gone] {
			t.Errorf("after a reboot: held %v, ports %v", f.held, f.open)
		}
		w.loseJournal()
		if !f.held[one] || f.held[gone] {
			t.Errorf("without a journal: held %v", f.held)
		}
	})
}
