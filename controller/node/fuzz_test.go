package node_test

import (
	"encoding/json"
	"testing"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// FuzzEnrol: whoever doesn't know a key's secret changes nothing by whatever it
// sends, and is told in plain words.
func FuzzEnrol(f *testing.F) {
	b := setup(f)
	n, key := b.make("a")
	right := b.request(key)
	for _, change := range []func(r *wire.EnrolRequest){
		func(r *wire.EnrolRequest) { r.MAC = "" },
		func(r *wire.EnrolRequest) { r.Nonce = "?" },
		func(r *wire.EnrolRequest) { r.KeyID = "' OR 1=1 --" },
		func(r *wire.EnrolRequest) { r.CSR = "-----BEGIN CERTIFICATE REQUEST-----" },
		func(r *wire.EnrolRequest) { r.Agent.Tunnel = true },
	} {
		r := right
		change(&r)
		text, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var r wire.EnrolRequest
		if json.Unmarshal(text, &r) != nil {
			return
		}
		if r.KeyID == key.ID && wire.Proves(r.MAC, key.SignRequest(r)) { // the right one, spelt differently
			return
		}
		b.clock.Add(1 << 40) // tries are counted by the minute; this is a quarter of an hour
		_, err := b.nodes.Enrol(t.Context(), r, home)
		after, lost := b.nodes.Get(t.Context(), n.ID)
		if err == nil || problem.From(err).Code == problem.Internal || lost != nil || after.Certificate != "" {
			t.Fatalf("%s: %v, %v", text, err, lost)
		}
	})
}
