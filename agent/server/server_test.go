package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/shared/build"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// TestInventorySaysWhatIsBeingTold until it is acknowledged.
func TestInventorySaysWhatIsBeingTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	telling := func() bool {
		t.Helper()
		var inventory wire.Inventory
		if status, _ := b.call("GET", wire.PathInstances, "", &inventory); status != 200 || len(inventory.Instances) != 1 {
			t.Fatalf("inventory: %d %+v", status, inventory)
		}
		return inventory.Instances[0].Telling
	}
	if telling() {
		t.Error("nothing was to be told")
	}
	about := func(id ident.Instance, kind wire.EventType) {
		t.Helper()
		e := wire.Event{At: time.Now(), Type: kind, Instance: id, Generation: 3, State: &wire.State{}, Progress: &wire.Progress{}}
		if err := b.journal.Write(journal.Change{Instance: id, Events: []wire.Event{e}}); err != nil {
			t.Fatal(err)
		}
	}
	about("0123abce", wire.EventState)
	about("0123abcd", wire.EventProgress)
	if telling() {
		t.Error("another's state and its own progress are no news of its state")
	}
	about("0123abcd", wire.EventState)
	if !telling() {
		t.Error("it is being told")
	}
	if _, err := b.journal.Ack(b.journal.LastSeq()); err != nil {
		t.Fatal(err)
	}
	if telling() {
		t.Error("it was told")
	}
}

func TestCalls(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var hello wire.Hello
	if status, _ := b.call("GET", wire.PathHello, "", &hello); status != 200 {
		t.Errorf("hello: %d", status)
	}
	want := wire.Hello{Node: node, Wire: wire.Version, Release: build.Version, Epoch: b.journal.Epoch(), Engine: wire.Engine{Reachable: true, Name: "fake"}}
	if hello != want {
		t.Errorf("hello %+v, want %+v", hello, want)
	}
	var inventory wire.Inventory
	if status, _ := b.call("GET", wire.PathInstances, "", &inventory); status != 200 || len(inventory.Instances) != 1 {
		t.Errorf("inventory: %d %+v", status, inventory)
	}
	var accepted wire.Accepted
	if status, _ := b.call("PUT", wire.PathInstances+"/0123abcd", `{"instance":"0123abcd","generation":4,"env":["A=1"]}`, &accepted); status != 202 || accepted.Generation != 5 {
		t.Errorf("apply: %d %+v", status, accepted)
	}
	if got := b.instances.specs; len(got) != 1 || got[0].Instance != "0123abcd" || got[0].Env[0] != "A=1" {
		t.Errorf("applied %+v", got)
	}
	var spec wire.Spec
	if status, _ := b.call("GET", wire.PathInstances+"/0123abcd", "", &spec); status != 200 || spec.Generation != 4 || len(spec.Env) != 1 {
		t.Errorf("spec: %d %+v", status, spec)
	}
	if status, _ := b.call("DELETE", wire.PathInstances+"/0123abcd", `{"generation":6}`, &accepted); status != 202 || accepted.Generation != 6 {
		t.Errorf("remove: %d %+v", status, accepted)
	}
	if got := b.instances.removals["0123abcd"]; got.Generation != 6 {
		t.Errorf("removed %+v", got)
	}
}

func TestBadCallsChangeNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	deep := strings.Repeat(`{"image":`, 20_000) + "1" + strings.Repeat("}", 20_000)
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		code                     problem.Code
	}{
		{"no such call", "GET", "/", "", 404, problem.NotFound},
		{"no such version", "GET", "/v2/hello", "", 404, problem.NotFound},
		{"wrong method", "POST", wire.PathHello, "", 405, problem.MethodNotAllowed},
		{"wrong method of all", "DELETE", wire.PathInstances, "", 405, problem.MethodNotAllowed},
		{"wrong method of one", "POST", wire.PathInstances + "/0123abcd", "", 405, problem.MethodNotAllowed},
		{"one that isn't there", "GET", wire.PathInstances + "/0123abcd", "", 404, problem.NotFound},
		{"one with a path for a name", "GET", wire.PathInstances + "/..%2f..%2fetc", "", 422, problem.Validation},
		{"no id", "PUT", wire.PathInstances + "/", "{}", 422, problem.Validation},
		{"a path", "PUT", wire.PathInstances + "/..%2f..%2fetc", "{}", 422, problem.Validation},
		{"a deeper path", "DELETE", wire.PathInstances + "/0123abcd/x", "{}", 422, problem.Validation},
		{"upper case", "DELETE", wire.PathInstances + "/0123ABCD", "{}", 422, problem.Validation},
		{"another id", "PUT", wire.PathInstances + "/0123abcd", `{"instance":"0123abce"}`, 422, problem.Validation},
		{"empty", "PUT", wire.PathInstances + "/0123abcd", "", 400, problem.BadRequest},
		{"not JSON", "PUT", wire.PathInstances + "/0123abcd", "hello", 400, problem.BadRequest},
		{"cut", "PUT", wire.PathInstances + "/0123abcd", `{"instance":"0123`, 400, problem.BadRequest},
		{"a list", "PUT", wire.PathInstances + "/0123abcd", `[]`, 400, problem.BadRequest},
		{"wrong type", "PUT", wire.PathInstances + "/0123abcd", `{"generation":"1"}`, 400, problem.BadRequest},
		{"number too large", "DELETE", wire.PathInstances + "/0123abcd", `{"generation":1e30}`, 400, problem.BadRequest},
		{"unknown field", "DELETE", wire.PathInstances + "/0123abcd", `{"generation":1,"force":true}`, 400, problem.BadRequest},
		{"two bodies", "DELETE", wire.PathInstances + "/0123abcd", `{"generation":1}{"generation":2}`, 400, problem.BadRequest},
		{"too large", "PUT", wire.PathInstances + "/0123abcd", `{"volume":"` + strings.Repeat("x", 1<<20) + `"}`, 413, problem.TooLarge},
		{"too deep", "PUT", wire.PathInstances + "/0123abcd", deep, 400, problem.BadRequest},
		{"no handshake", "GET", wire.PathEvents, "", 400, problem.BadRequest},
		{"bad number", "GET", wire.PathEvents + "?after=x", "", 422, problem.Validation},
		{"negative number", "GET", wire.PathEvents + "?after=-1", "", 422, problem.Validation},
	} {
		status, p := b.call(tt.method, tt.path, tt.body, nil)
		if status != tt.status || p.Code != tt.code || p.Message == "" {
			t.Errorf("%s: %d %+v, want %d %s", tt.name, status, p, tt.status, tt.code)
		}
	}
	if n := b.instances.calls(); n != 0 {
		t.Errorf("%d calls came through", n)
	}
}

func TestRefusalsOfTheRoomBehind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.instances.fails = problem.Invalid("limits.memory_mib", "must be positive").Because(errors.New("secret"))
	status, p := b.call("PUT", wire.PathInstances+"/0123abcd", `{"instance":"0123abcd"}`, nil)
	if status != 422 || len(p.Fields) != 1 || p.Fields[0].Field != "limits.memory_mib" {
		t.Errorf("%d %+v", status, p)
	}
	b.instances.fails = errors.New("secret")
	if status, p = b.call("DELETE", wire.PathInstances+"/0123abcd", `{"generation":1}`, nil); status != 500 || p.Code != problem.Internal || strings.Contains(p.Message, "secret") {
		t.Errorf("%d %+v", status, p)
	}
	b.instances.panics = true
	if status, p = b.call("PUT", wire.PathInstances+"/0123abcd", `{"instance":"0123abcd"}`, nil); status != 500 || p.Code != problem.Internal || strings.Contains(p.Message, "bug") {
		t.Errorf("%d %+v", status, p)
	}
	b.instances.panics, b.instances.fails = false, nil
	var accepted wire.Accepted
	if status, _ = b.call("PUT", wire.PathInstances+"/0123abcd", `{"instance":"0123abcd"}`, &accepted); status != 202 {
		t.Errorf("after a panic: %d", status)
	}
}

func TestOnlyTheControllerComesIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := newAuthority(t)
	clientAuth := x509.ExtKeyUsageClientAuth
	for name, own := range map[string]*tls.Certificate{
		"none":                      nil,
		"another CA's":              ptr(other.leaf(wire.ControllerURI, clientAuth, nil)),
		"a node's":                  ptr(b.ca.leaf(wire.NodeURI("other"), x509.ExtKeyUsageServerAuth, nil)),
		"a node's, for clients too": ptr(b.ca.leaf(wire.NodeURI(node), clientAuth, nil)),
		"no name":                   ptr(b.ca.leaf("", clientAuth, nil)),
		"a similar name":            ptr(b.ca.leaf(wire.ControllerURI+"/x", clientAuth, nil)),
		"another usage":             ptr(b.ca.leaf(wire.ControllerURI, x509.ExtKeyUsageServerAuth, nil)),
		"expired":                   ptr(b.ca.leaf(wire.ControllerURI, clientAuth, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })),
		"of tomorrow":               ptr(b.ca.leaf(wire.ControllerURI, clientAuth, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })),
		"two names":                 ptr(b.ca.leaf(wire.ControllerURI, clientAuth, func(c *x509.Certificate) { c.URIs = append(c.URIs, c.URIs[0]) })),
		"name as a host":            ptr(b.ca.leaf("", clientAuth, func(c *x509.Certificate) { c.DNSNames = []string{"controller"} })),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: b.ca.clientConfig(own), DisableKeepAlives: true}}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://"+b.addr+wire.PathInstances+"/0123abcd", strings.NewReader(`{"instance":"0123abcd"}`))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := client.Do(r)
			if err == nil {
				_ = answer.Body.Close()
				t.Fatalf("it was answered: %d", answer.StatusCode)
			}
		})
	}
	t.Run("an old TLS", func(t *testing.T) {
		t.Parallel()
		config := b.ca.clientConfig(&b.own)
		config.MaxVersion = tls.VersionTLS12
		if conn, err := tls.Dial("tcp", b.addr, config); err == nil {
			_ = conn.Close()
			t.Error("TLS 1.2 is spoken")
		}
	})
	t.Cleanup(func() {
		if n := b.instances.calls(); n != 0 {
			t.Errorf("%d calls came through", n)
		}
	})
}

func ptr[T any](v T) *T { return &v }

func TestSpecWithEveryFieldIsUnderstood(t *testing.T) {
	t.Parallel()
	b := setup(t)
	spec := wire.Spec{
		Instance: "0123abcd", Generation: 7, Image: wire.ImageSpec{Reference: "r", Entrypoint: []string{"e"}, Command: []string{"c"}},
		Env: []string{"A=1"}, Limits: wire.Limits{MemoryMiB: 1, NanoCPUs: 2, DiskMiB: 3, Pids: 4}, Ports: []wire.Port{{IP: "::", Host: 1, Container: 2}},
		Volume: "/v", TTY: true, Stop: wire.Stop{Command: "s", Signal: "SIGINT", GraceSeconds: 5}, Suspended: true,
		Install: wire.Install{Downloads: []wire.Download{{URL: "u", Path: "p"}}}, Power: wire.Power{Want: wire.WantRunning, Order: 9, Restart: true, Force: true},
	}
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var accepted wire.Accepted
	if status, p := b.call("PUT", wire.PathInstances+"/0123abcd", string(text), &accepted); status != 202 {
		t.Fatalf("%d %+v", status, p)
	}
	again, err := json.Marshal(b.instances.specs[0])
	if err != nil || string(again) != string(text) {
		t.Errorf("it arrived as %s, want %s", again, text)
	}
}
