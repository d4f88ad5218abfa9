package app

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/berth-panel/berth/agent/runtime"
	"github.com/berth-panel/berth/agent/runtime/runtimetest"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) {
	// net/http sleeps half a second before it closes a connection of which it has
	// not read everything, and nothing waits for that.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// controller holds the CA and speaks to one agent, as the controller does.
type controller struct {
	t     *testing.T
	ca    *x509.Certificate
	caKey *ecdsa.PrivateKey
	tls   *tls.Config
	heard atomic.Int64 // the last event about output
}

func newController(t *testing.T) *controller {
	t.Helper()
	c := &controller{t: t, caKey: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Berth CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	c.ca = c.sign(template, template, &c.caKey.PublicKey)
	own := c.leaf(wire.ControllerURI, x509.ExtKeyUsageClientAuth)
	c.tls = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, InsecureSkipVerify: true} // node certificates have no host name
	return c
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (c *controller) sign(template, parent *x509.Certificate, public *ecdsa.PublicKey) *x509.Certificate {
	c.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, c.caKey)
	if err != nil {
		c.t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		c.t.Fatal(err)
	}
	return certificate
}

func (c *controller) leaf(uri string, usage x509.ExtKeyUsage) tls.Certificate {
	c.t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		c.t.Fatal(err)
	}
	key := newKey(c.t)
	certificate := c.sign(&x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{usage}, URIs: []*url.URL{u},
	}, c.ca, &key.PublicKey)
	return tls.Certificate{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}
}

// enrolled makes a data directory as an enrolment leaves it.
func (c *controller) enrolled(node ident.Node) string {
	c.t.Helper()
	dir := c.t.TempDir()
	c.t.Cleanup(func() { _ = RemoveFirewall(dir) }) // which outlives its agent; without root there is none
	certificate := c.leaf(wire.NodeURI(node), x509.ExtKeyUsageServerAuth)
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		c.t.Fatal(err)
	}
	record, err := json.Marshal(map[string]any{"node": node, "controller": "http://panel.example", "enrolled_at": time.Now()})
	if err != nil {
		c.t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"node.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		"node.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}),
		"ca.crt":   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.ca.Raw}), "node.json": record,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	return dir
}

// agent is a running App and the controller's view of it.
type agent struct {
	*controller
	app  *App
	stop func()

	client *http.Client
	conn   *websocket.Conn

	mu     sync.Mutex
	states map[ident.Instance]wire.Event // the latest state event
	gone   map[ident.Instance]int64      // generation of the removal
	// crashed counts the states that say so.
	crashed map[ident.Instance]int
	// output is what installations printed.
	output map[ident.Instance][]string
	news   chan struct{}
}

// run starts an agent and listens to its events.
func (c *controller) run(config Config, engine runtime.Engine) *agent {
	c.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	app, err := New(config, Deps{Engine: engine, Listener: listener, Log: slog.New(slog.NewTextHandler(c.t.Output(), nil))})
	if err != nil {
		c.t.Fatal(err)
	}
	a := &agent{
		controller: c, app: app, client: &http.Client{Transport: &http.Transport{TLSClientConfig: c.tls.Clone()}},
		states: map[ident.Instance]wire.Event{}, gone: map[ident.Instance]int64{}, crashed: map[ident.Instance]int{}, output: map[ident.Instance][]string{}, news: make(chan struct{}, 1),
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- app.Run(ctx) }()
	dialer := websocket.Dialer{TLSClientConfig: c.tls.Clone()}
	if a.conn, _, err = dialer.DialContext(c.t.Context(), "wss://"+app.Addr().String()+wire.PathEvents, nil); err != nil {
		cancel()
		c.t.Fatal(err)
	}
	listened := make(chan struct{})
	go func() {
		defer close(listened)
		a.listen()
	}()
	a.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			c.t.Errorf("the agent ended with %v", err)
		}
		<-listened
		_ = a.conn.Close()
		a.client.CloseIdleConnections()
	})
	c.t.Cleanup(a.stop)
	return a
}

// listen takes events and acknowledges them until the stream ends.
func (a *agent) listen() {
	for {
		var batch wire.EventBatch
		if err := a.conn.ReadJSON(&batch); err != nil {
			return
		}
		a.mu.Lock()
		for _, e := range batch.Events {
			switch e.Type {
			case wire.EventState:
				a.states[e.Instance] = e
				if e.State.Actual == wire.ActualCrashed {
					a.crashed[e.Instance]++
				}
			case wire.EventRemoved:
				a.gone[e.Instance] = e.Generation
			case wire.EventOutput:
				if a.heard.Swap(e.Seq) < e.Seq { // what was not acknowledged in time comes again
					a.output[e.Instance] = append(a.output[e.Instance], e.Output...)
				}
			case wire.EventProgress, wire.EventEngine:
			}
		}
		a.mu.Unlock()
		select {
		case a.news <- struct{}{}:
		default:
		}
		if n := len(batch.Events); n > 0 {
			if err := a.conn.WriteJSON(wire.Ack{Seq: batch.Events[n-1].Seq}); err != nil {
				return
			}
		}
	}
}

// until waits for an event that makes ok true.
func (a *agent) until(what string, ok func() bool) {
	a.t.Helper()
	timeout := time.After(runtimetest.Patience)
	for {
		a.mu.Lock()
		done := ok()
		a.mu.Unlock()
		if done {
			return
		}
		select {
		case <-a.news:
		case <-timeout:
			a.mu.Lock()
			defer a.mu.Unlock()
			a.t.Fatalf("waited in vain for %s; states %+v", what, a.states)
		}
	}
}

// settled waits until the generation is done and gives its state.
func (a *agent) settled(id ident.Instance, generation int64) wire.State {
	a.t.Helper()
	var state wire.State
	a.until("the instance to be settled", func() bool {
		e, ok := a.states[id]
		if !ok || e.Generation != generation || !e.State.Converged {
			return false
		}
		state = *e.State
		return true
	})
	return state
}

func (a *agent) call(method, path string, body, out any) (int, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(a.t.Context(), method, "https://"+a.app.Addr().String()+path, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	answer, err := a.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err = io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	if answer.StatusCode >= 400 {
		var p problem.Problem
		return answer.StatusCode, errors.Join(json.Unmarshal(text, &p), &p)
	}
	return answer.StatusCode, json.Unmarshal(text, out)
}

func (a *agent) apply(spec wire.Spec) {
	a.t.Helper()
	var accepted wire.Accepted
	if status, err := a.call("PUT", wire.PathInstances+"/"+string(spec.Instance), spec, &accepted); err != nil || status != 202 || accepted.Generation != spec.Generation {
		a.t.Fatalf("apply: %d %+v %v", status, accepted, err)
	}
}

func (a *agent) remove(id ident.Instance, generation int64) {
	a.t.Helper()
	var accepted wire.Accepted
	if status, err := a.call("DELETE", wire.PathInstances+"/"+string(id), wire.Removal{Generation: generation}, &accepted); err != nil || status != 202 {
		a.t.Fatalf("remove: %d %+v %v", status, accepted, err)
	}
	a.until("the removal", func() bool { return a.gone[id] == generation })
}

func (a *agent) inventory() []wire.Holding {
	a.t.Helper()
	var i wire.Inventory
	if _, err := a.call("GET", wire.PathInstances, nil, &i); err != nil {
		a.t.Fatal(err)
	}
	return i.Instances
}
