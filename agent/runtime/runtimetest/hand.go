package runtimetest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/runtime"
)

// Hand does to containers what people do with the engine's own tools, behind
// the agent's back.
type Hand struct {
	Pause    func(t testing.TB, id runtime.ContainerID)
	Rename   func(t testing.TB, id runtime.ContainerID, name string)
	Limit    func(t testing.TB, id runtime.ContainerID, memory, nanoCPUs, pids int64) // pids -1 takes the limit away
	Leave    func(t testing.TB, id runtime.ContainerID, network string)
	Join     func(t testing.TB, id runtime.ContainerID, network string)
	Restarts func(t testing.TB, id runtime.ContainerID) // lets the engine start it again by itself
	Signal   func(t testing.TB, id runtime.ContainerID, number int)
	Stop     func(t testing.TB, id runtime.ContainerID) // and waits until it is down
	Start    func(t testing.TB, id runtime.ContainerID)
	Remove   func(t testing.TB, id runtime.ContainerID)
}

// DockerHand is a Hand on a Docker Engine.
func DockerHand(host string) Hand {
	post := func(t testing.TB, path string, query url.Values, body any) {
		t.Helper()
		if err := send(t.Context(), host, http.MethodPost, path, query, body); err != nil {
			t.Fatalf("by hand: %s: %v", path, err)
		}
	}
	at := func(id runtime.ContainerID, verb string) string { return "/containers/" + string(id) + "/" + verb }
	return Hand{
		Pause: func(t testing.TB, id runtime.ContainerID) { post(t, at(id, "pause"), nil, nil) },
		Rename: func(t testing.TB, id runtime.ContainerID, name string) {
			post(t, at(id, "rename"), url.Values{"name": {name}}, nil)
		},
		Limit: func(t testing.TB, id runtime.ContainerID, memory, nanoCPUs, pids int64) {
			post(t, at(id, "update"), nil, map[string]any{"Memory": memory, "MemorySwap": memory, "NanoCpus": nanoCPUs, "PidsLimit": pids})
		},
		Leave: func(t testing.TB, id runtime.ContainerID, network string) {
			post(t, "/networks/"+network+"/disconnect", nil, map[string]any{"Container": id, "Force": true})
		},
		Join: func(t testing.TB, id runtime.ContainerID, network string) {
			post(t, "/networks/"+network+"/connect", nil, map[string]any{"Container": id})
		},
		Restarts: func(t testing.TB, id runtime.ContainerID) {
			post(t, at(id, "update"), nil, map[string]any{"RestartPolicy": map[string]any{"Name": "always"}})
		},
		Signal: func(t testing.TB, id runtime.ContainerID, number int) {
			post(t, at(id, "kill"), url.Values{"signal": {strconv.Itoa(number)}}, nil)
		},
		Stop:  func(t testing.TB, id runtime.ContainerID) { post(t, at(id, "stop"), url.Values{"t": {"20"}}, nil) },
		Start: func(t testing.TB, id runtime.ContainerID) { post(t, at(id, "start"), nil, nil) },
		Remove: func(t testing.TB, id runtime.ContainerID) {
			if err := send(t.Context(), host, http.MethodDelete, "/containers/"+string(id), url.Values{"force": {"1"}, "v": {"1"}}, nil); err != nil {
				t.Fatalf("by hand: remove: %v", err)
			}
		},
	}
}

// send makes one request with a JSON body.
func send(ctx context.Context, host, method, path string, query url.Values, body any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var text io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		text = bytes.NewReader(encoded)
	}
	return request(ctx, host, method, path, query, text, nil)
}
