package fleettest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

// Agent is a scripted agent. Everything on it is safe for concurrent use.
type Agent struct {
	key    *ecdsa.PrivateKey
	listen func() (net.Listener, error)
	host   string
	port   int
	tunnel bool
	now    func() time.Time
	work   sync.WaitGroup // streams

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced with every change
	hello    wire.Hello
	cert     tls.Certificate
	clients  *x509.CertPool
	serial   string
	listener net.Listener
	server   *http.Server
	conns    map[*websocket.Conn]struct{}
	muted    bool
	obedient bool

	apply  func(wire.Spec) *Answer
	remove func(ident.Instance, wire.Removal) *Answer
	renew  func(method string) *Answer
	rooms  http.Handler // see Serve

	next     *ecdsa.PrivateKey // that a certificate was asked for
	rawHello string            // instead of hello
	greeted  int
	pushed   []Pushed
	holdPush <-chan struct{}
	renewals int

	applied  []wire.Spec
	removed  []Removed
	holdings map[ident.Instance]*holding
	events   []wire.Event // not acknowledged yet
	acked    int64
	opened   []Stream
}

type holding struct {
	spec     wire.Spec
	removing bool
	state    wire.State
}

// Removed is one removal that the agent was told.
type Removed struct {
	Instance ident.Instance
	Removal  wire.Removal
}

// Stream is one opening of the event stream.
type Stream struct {
	Epoch string
	After int64
}

// New starts a scripted agent on the loopback with a certificate from the
// authority. It ends with the test.
func New(t testing.TB, authority *fleet.Authority, node ident.Node) *Agent {
	t.Helper()
	a := Listen(t)
	issued, err := authority.IssueNode(node, a.CSR(), "")
	if err != nil {
		t.Fatal(err)
	}
	a.Certify(t, node, authority.CertificatePEM(), issued.PEM)
	return a
}

// Listen opens a port on the loopback for an agent that is not enrolled yet:
// enrol it with CSR, Host and Port, then Certify it.
func Listen(t testing.TB) *Agent {
	t.Helper()
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, ok := first.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("listening on %v", first.Addr())
	}
	a := ListenAt(t, address.IP.String(), address.Port, func() (net.Listener, error) {
		return net.Listen("tcp", address.String())
	})
	a.listener = first
	return a
}

// ListenAt makes an agent that listens where listen says; with a Network that
// is no real port at all.
func ListenAt(t testing.TB, host string, port int, listen func() (net.Listener, error)) *Agent {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &Agent{
		key: key, listen: listen, host: host, port: port, now: time.Now,
		changed:  make(chan struct{}),
		conns:    map[*websocket.Conn]struct{}{},
		holdings: map[ident.Instance]*holding{},
		hello: wire.Hello{
			Wire: wire.Version, Release: "scripted", Epoch: ident.New(),
			Engine: wire.Engine{Reachable: true, Name: "scripted", Version: "1", Arch: "amd64", Cores: 8, MemoryBytes: 64 << 30, StorageBytes: 1 << 40},
		},
	}
	t.Cleanup(a.Stop)
	return a
}

// CSR is a signing request for the agent's key, in PEM.
func (a *Agent) CSR() string {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, a.key)
	if err != nil {
		return "" // refused as a signing request by whoever gets it
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// Clock has the agent go by another clock than the machine's. Call it before the
// agent is certified.
func (a *Agent) Clock(now func() time.Time) { a.now = now }

// Host is the address to dial.
func (a *Agent) Host() string { return a.host }

// Port is the port to dial.
func (a *Agent) Port() int { return a.port }

// Certify gives the agent the CA (PEM) that it believes and its certificate
// (PEM, for its own key), and starts it when it isn't started yet. New
// connections use them.
func (a *Agent) Certify(t testing.TB, node ident.Node, ca, certificate string) {
	t.Helper()
	block, _ := pem.Decode([]byte(certificate))
	if block == nil {
		t.Fatal("the certificate is not PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM([]byte(ca)) {
		t.Fatal("the CA is not PEM")
	}
	a.mu.Lock()
	a.hello.Node, a.clients, a.serial = node, clients, leaf.SerialNumber.Text(16)
	a.cert = tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: a.key, Leaf: leaf}
	running := a.server != nil
	a.mu.Unlock()
	if !running {
		a.Start(t)
	}
}

// Target is how the fleet finds this agent.
func (a *Agent) Target() fleet.Target {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fleet.Target{Node: a.hello.Node, Name: "node-" + string(a.hello.Node), Address: a.host, Port: a.port, Tunnel: a.tunnel, Certificate: a.serial}
}

// Address is host:port.
func (a *Agent) Address() string { return net.JoinHostPort(a.host, strconv.Itoa(a.port)) }

// Start serves, again after a Stop, at the same address and with everything
// that the agent knew: a restarted agent.
func (a *Agent) Start(t testing.TB) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	listener := a.listener
	if listener == nil {
		var err error
		if listener, err = a.listen(); err != nil {
			t.Fatal(err)
		}
	}
	a.listener = nil
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	server.Handler = a.door(server)
	a.server = server
	a.work.Go(func() {
		err := server.Serve(tls.NewListener(listener, a.tls()))
		if !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("the scripted agent's server: %v", err)
		}
	})
}

// Stop ends the agent as a killed process ends: every connection breaks off.
func (a *Agent) Stop() {
	a.mu.Lock()
	server, listener := a.server, a.listener
	a.server, a.listener = nil, nil
	a.mu.Unlock()
	if listener != nil {
		_ = listener.Close()
	}
	if server != nil {
		_ = server.Close()
	}
	a.Drop()
	a.work.Wait()
}

// Drop breaks the event streams off; the agent stays reachable.
func (a *Agent) Drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for conn := range a.conns {
		_ = conn.NetConn().Close()
	}
	a.announce()
}

func (a *Agent) tls() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		Time:       a.now,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			a.mu.Lock()
			defer a.mu.Unlock()
			return &tls.Config{
				MinVersion:   tls.VersionTLS13,
				Time:         a.now,
				NextProtos:   []string{"http/1.1"},
				Certificates: []tls.Certificate{a.cert},
				ClientAuth:   tls.RequireAndVerifyClientCert,
				ClientCAs:    a.clients,
				// A ticket would be written before anything is read, which an unbuffered pipe never ends.
				SessionTicketsDisabled: true,
				VerifyConnection:       isController,
			}, nil
		},
	}
}

func isController(state tls.ConnectionState) error {
	leaf := state.PeerCertificates[0]
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != wire.ControllerURI {
		return errors.New("not the controller")
	}
	return nil
}
