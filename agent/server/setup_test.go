package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/berth-panel/berth/agent/journal"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

func TestMain(m *testing.M) {
	// net/http sleeps half a second before it closes a connection of which it has
	// not read everything, and nothing waits for that.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

const node = ident.Node("6f9619ff-8b86-4d01-b42d-00cf4fc964ff")

// authority is a controller's CA.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Berth CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = a.sign(template, template, &a.key.PublicKey)
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(template, parent *x509.Certificate, public *ecdsa.PublicKey) *x509.Certificate {
	a.t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// leaf makes a certificate; change may alter the template.
func (a *authority) leaf(uri string, usage x509.ExtKeyUsage, change func(c *x509.Certificate)) tls.Certificate {
	a.t.Helper()
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	if uri != "" {
		u, err := url.Parse(uri)
		if err != nil {
			a.t.Fatal(err)
		}
		template.URIs = []*url.URL{u}
	}
	if change != nil {
		change(template)
	}
	cert := a.sign(template, a.cert, &key.PublicKey)
	return tls.Certificate{Certificate: [][]byte{cert.Raw, a.cert.Raw}, PrivateKey: key, Leaf: cert}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// clientConfig is how the controller dials: the name in the certificate is the
// node's URI, checked by hand.
func (a *authority) clientConfig(own *tls.Certificate) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}} // verified below
	config.VerifyConnection = func(s tls.ConnectionState) error {
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: a.pool()})
		return err
	}
	if own != nil {
		config.Certificates = []tls.Certificate{*own}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil } // also one that the server won't like
	}
	return config
}

// recorder is a scripted agent/instance.
type recorder struct {
	mu       sync.Mutex
	specs    []wire.Spec
	removals map[ident.Instance]wire.Removal
	fails    error
	panics   bool
	acked    func(seq int64) error
}

func (r *recorder) Apply(spec wire.Spec) (wire.Accepted, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.panics {
		panic("a bug")
	}
	if r.fails != nil {
		return wire.Accepted{}, r.fails
	}
	r.specs = append(r.specs, spec)
	return wire.Accepted{Generation: spec.Generation + 1}, nil
}

func (r *recorder) Remove(id ident.Instance, removal wire.Removal) (wire.Accepted, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fails != nil {
		return wire.Accepted{}, r.fails
	}
	r.removals[id] = removal
	return wire.Accepted{Generation: removal.Generation}, nil
}

func (r *recorder) calls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.specs) + len(r.removals)
}

func (r *recorder) Inventory() wire.Inventory {
	return wire.Inventory{Instances: []wire.Holding{{Instance: "0123abcd", Generation: 3}}}
}

func (r *recorder) Spec(id ident.Instance) (wire.Spec, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.specs {
		if s.Instance == id {
			return s, nil
		}
	}
	return wire.Spec{}, problem.New(problem.NotFound, "this node has no settings of instance %s", id)
}

func (r *recorder) Engine() wire.Engine { return wire.Engine{Reachable: true, Name: "fake"} }

func (r *recorder) Ack(seq int64) error { return r.acked(seq) }

// bundle is a door on a real listener, with a real journal behind it.
type bundle struct {
	t         *testing.T
	ca        *authority
	instances *recorder
	journal   *journal.Journal
	door      *Door
	addr      string
	client    *http.Client
	own       tls.Certificate
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{t: t, ca: newAuthority(t), instances: &recorder{removals: map[ident.Instance]wire.Removal{}}}
	var err error
	if b.journal, err = journal.Open(filepath.Join(t.TempDir(), "journal.db")); err != nil {
		t.Fatal(err)
	}
	b.instances.acked = func(seq int64) error {
		_, err := b.journal.Ack(seq)
		return err
	}
	b.door = New(Options{Node: node, Instances: b.instances, Events: b.journal, Log: slog.New(slog.DiscardHandler), Now: time.Now, Ping: 20 * time.Millisecond, Patience: time.Minute})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = listener.Addr().String()
	own := b.ca.leaf(wire.NodeURI(node), x509.ExtKeyUsageServerAuth, nil)
	config := TLSConfig(func() *tls.Certificate { return &own }, b.ca.pool())
	server := &http.Server{Handler: b.door, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(tls.NewListener(listener, config))
	}()
	b.own = b.ca.leaf(wire.ControllerURI, x509.ExtKeyUsageClientAuth, nil)
	b.client = &http.Client{Transport: &http.Transport{TLSClientConfig: b.ca.clientConfig(&b.own)}}
	t.Cleanup(func() {
		b.client.CloseIdleConnections()
		b.door.Close()
		_ = server.Close()
		<-ended
		_ = b.journal.Close()
	})
	return b
}

// call makes a call and reads the answer into out, or the problem.
func (b *bundle) call(method, path, body string, out any) (int, problem.Problem) {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, "https://"+b.addr+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	answer, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	if got := answer.Header.Get("Content-Type"); got != "application/json" {
		b.t.Errorf("%s %s answers %q: %s", method, path, got, text)
	}
	var p problem.Problem
	target := out
	if answer.StatusCode >= 400 {
		target = &p
	}
	if err := json.Unmarshal(text, target); err != nil {
		b.t.Fatalf("%s %s answers %d %s: %v", method, path, answer.StatusCode, text, err)
	}
	return answer.StatusCode, p
}
