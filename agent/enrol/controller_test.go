package enrol

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

const node = ident.Node("6f9619ff-8b86-4d01-b42d-00cf4fc964ff")

// controller is a scripted one. Each hook may spoil one part of the answer.
type controller struct {
	t      *testing.T
	server *httptest.Server
	key    wire.EnrolmentKey
	caKey  *ecdsa.PrivateKey
	ca     *x509.Certificate

	template func(c *x509.Certificate)                            // of the node's certificate
	public   func(mine any) any                                   // the key that goes into it
	signed   func(a *wire.EnrolAnswer)                            // before it is proven
	sent     func(a *wire.EnrolAnswer)                            // after
	respond  func(w http.ResponseWriter, a wire.EnrolAnswer) bool // instead of the answer

	request wire.EnrolRequest // the last
	calls   int
}

func newController(t *testing.T) *controller {
	t.Helper()
	c := &controller{t: t}
	c.ca, c.caKey = newCA(t)
	print := sha256.Sum256(c.ca.Raw)
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	c.key = wire.EnrolmentKey{ID: "k1", Secret: secret, Fingerprint: print[:]}
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	return c
}

func newCA(t *testing.T) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Berth CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return ca, key
}

func certPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// issue makes the node's certificate with a CA.
func (c *controller) issue(public any, ca *x509.Certificate, caKey *ecdsa.PrivateKey) string {
	c.t.Helper()
	uri, err := url.Parse(wire.NodeURI(node))
	if err != nil {
		c.t.Error(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, URIs: []*url.URL{uri},
	}
	if c.template != nil {
		c.template(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, public, caKey)
	if err != nil {
		c.t.Error(err)
	}
	return certPEM(der)
}

func (c *controller) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.calls++
	if r.Method != http.MethodPost || r.URL.Path != wire.PathEnrol || r.Header.Get("Content-Type") != "application/json" {
		c.t.Errorf("called with %s %s, %v", r.Method, r.URL.Path, r.Header)
	}
	c.request = wire.EnrolRequest{}
	if err := json.NewDecoder(r.Body).Decode(&c.request); err != nil {
		c.t.Error(err)
	}
	if !wire.Proves(c.request.MAC, c.key.SignRequest(c.request)) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"success":false,"error":{"code":"UNAUTHORIZED","message":"the enrolment key is unknown"},"request_id":"r"}`))
		return
	}
	block, _ := pem.Decode([]byte(c.request.CSR))
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil || csr.CheckSignature() != nil {
		c.t.Errorf("the request's CSR: %v", err)
	}
	public := csr.PublicKey
	if c.public != nil {
		public = c.public(public)
	}
	a := wire.EnrolAnswer{Node: node, CA: certPEM(c.ca.Raw), Certificate: c.issue(public, c.ca, c.caKey)}
	if c.signed != nil {
		c.signed(&a)
	}
	a.MAC = c.key.SignAnswer(c.request.Nonce, a)
	if c.sent != nil {
		c.sent(&a)
	}
	if c.respond != nil && c.respond(w, a) {
		return
	}
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(a)
}
