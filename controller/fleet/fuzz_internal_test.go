package fleet

import (
	"encoding/json"
	"testing"

	"github.com/berth-panel/berth/shared/wire"
)

// FuzzHello: an agent that introduces itself by any text is let in only when the
// text says what it must.
func FuzzHello(f *testing.F) {
	f.Add([]byte(`{"wire": 2, "node": "n", "epoch": "e", "release": "1", "engine": {"reachable": true}}`))
	f.Add([]byte(`{"wire": 1, "engine": []}`))
	f.Add([]byte(`{"wire": 2, "node": "another", "epoch": "e"}`))
	f.Add([]byte(`{"wire": 1e400}`))
	f.Add([]byte(`{"wire": 2, "node": "n", "wire": 3}`))
	f.Add([]byte(`[[[[[[`))
	f.Fuzz(func(t *testing.T, said []byte) {
		hello, err := readHello(said, "n")
		if err == nil && (hello.Node != "n" || hello.Wire != wire.Version || hello.Epoch == "") {
			t.Fatalf("%q is let in as %+v", said, hello)
		}
		if err != nil && explain(err) == "" {
			t.Fatalf("%q is refused without a word: %v", said, err)
		}
	})
}

// FuzzEvents: of a batch that is taken in the numbers rise.
func FuzzEvents(f *testing.F) {
	f.Add([]byte(`{"events":[{"seq":1},{"seq":2,"type":"instance.state","state":{}}]}`))
	f.Add([]byte(`{"events":[{"seq":2},{"seq":2}]}`))
	f.Add([]byte(`{"events":[{"seq":-1}]}`))
	f.Add([]byte(`{"events":null}`))
	f.Fuzz(func(t *testing.T, message []byte) {
		var batch wire.EventBatch
		if json.Unmarshal(message, &batch) != nil || !rising(batch.Events) {
			return
		}
		last := int64(0)
		for _, e := range batch.Events {
			if e.Seq <= last {
				t.Fatalf("%q is taken in", message)
			}
			last = e.Seq
		}
	})
}

// FuzzRefusal: whatever an agent refuses with, what callers are told of it is a
// problem with a code and a sentence, or none at all.
func FuzzRefusal(f *testing.F) {
	f.Add(409, []byte(`{"code":"CONFLICT","message":"no"}`))
	f.Add(500, []byte(`<html>`))
	f.Add(401, []byte(`{"code":"UNAUTHORIZED","message":"who are you"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if err := refused(status, body); err == nil || explain(err) == "" {
			t.Fatalf("%d %q: %v", status, body, err)
		}
	})
}
