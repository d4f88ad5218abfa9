package fleet

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"github.com/berth-panel/berth/controller/secret"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// The files of the authority in the data directory. The key is private.
const (
	CAKeyFile         = "ca.key"
	CACertificateFile = "ca.crt"
)

// How long certificates hold. Clocks of machines differ: each begins an hour
// before it is made.
const (
	// RenewBefore its end a node's certificate is renewed: a third of its life.
	RenewBefore = nodeLife / 3

	caLife     = 30 * 365 * 24 * time.Hour
	nodeLife   = 365 * 24 * time.Hour // renewed when a third of it is left
	clientLife = 30 * 24 * time.Hour  // made anew when a third of it is left
	clockSkew  = time.Hour
)

// Authority is the controller's own certificate authority, the only one that
// controller and agents believe. It is safe for concurrent use.
type Authority struct {
	now  func() time.Time
	key  crypto.Signer
	cert *x509.Certificate
	pool *x509.CertPool

	mu     sync.Mutex
	client *tls.Certificate // the controller's own; its key never touches the disk
}

// Issued is a node's new certificate.
type Issued struct {
	PEM      string
	Serial   string // hex; the one that Target.Certificate names
	NotAfter time.Time
}

// OpenAuthority reads the authority in the data directory, or makes it at the
// first start. now is the clock.
func OpenAuthority(dir string, now func() time.Time) (*Authority, error) {
	keyPEM, err := secret.File(filepath.Join(dir, CAKeyFile), 0o600, newKeyPEM)
	if err != nil {
		return nil, fmt.Errorf("the authority's key: %w", err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", CAKeyFile, err)
	}
	certPEM, err := secret.File(filepath.Join(dir, CACertificateFile), 0o644, func() ([]byte, error) { return selfSign(key, now()) })
	if err != nil {
		return nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	cert, err := parseCertificate(certPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", CACertificateFile, err)
	}
	if public, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(key.Public()) {
		return nil, fmt.Errorf("%s and %s don't belong together: put both back from the same backup", CAKeyFile, CACertificateFile)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &Authority{now: now, key: key, cert: cert, pool: pool}, nil
}

// Fingerprint is the SHA-256 of the CA's certificate (DER); enrolment keys carry it.
func (a *Authority) Fingerprint() []byte {
	sum := sha256.Sum256(a.cert.Raw)
	return sum[:]
}

// CertificatePEM is the CA's certificate.
func (a *Authority) CertificatePEM() string { return encode("CERTIFICATE", a.cert.Raw) }

// PublicKeyOf checks a signing request (PEM) and gives the SHA-256 of its
// public key, by which a repeated enrolment is known. A Validation problem says
// what is wrong with it.
func PublicKeyOf(csrPEM string) ([]byte, error) {
	csr, err := parseCSR(csrPEM)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	return sum[:], nil
}

// IssueNode makes the server certificate of a node for the public key in the
// signing request; everything else that the request asks for is ignored. An
// empty serial draws a new one; a given one repeats a certificate that got lost
// on its way.
func (a *Authority) IssueNode(node ident.Node, csrPEM, serial string) (Issued, error) {
	csr, err := parseCSR(csrPEM)
	if err != nil {
		return Issued{}, err
	}
	number := newSerial()
	if serial != "" {
		var ok bool
		if number, ok = new(big.Int).SetString(serial, 16); !ok {
			return Issued{}, fmt.Errorf("%q is no serial number", serial)
		}
	}
	der, notAfter, err := a.sign(wire.NodeURI(node), number, csr.PublicKey, nodeLife, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return Issued{}, err
	}
	return Issued{PEM: encode("CERTIFICATE", der), Serial: number.Text(16), NotAfter: notAfter}, nil
}

func (a *Authority) sign(uri string, serial *big.Int, public any, life time.Duration, usage x509.ExtKeyUsage) ([]byte, time.Time, error) {
	parsed, err := url.Parse(uri)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("certificate for %q: %w", uri, err)
	}
	now := a.now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: uri},
		URIs:         []*url.URL{parsed},
		NotBefore:    now.Add(-clockSkew),
		NotAfter:     now.Add(life),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{usage},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("sign the certificate of %s: %w", uri, err)
	}
	return der, template.NotAfter, nil
}

// controllerCertificate is what the controller shows to agents: made at the
// first use, and anew before it runs out.
func (a *Authority) controllerCertificate() (*tls.Certificate, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.client != nil && a.client.Leaf.NotAfter.Sub(a.now()) > clientLife/3 {
		return a.client, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, _, err := a.sign(wire.ControllerURI, newSerial(), key.Public(), clientLife, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a.client = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	return a.client, nil
}

func selfSign(key crypto.Signer, now time.Time) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber:          newSerial(),
		Subject:               pkix.Name{CommonName: "Berth controller CA"},
		NotBefore:             now.Add(-clockSkew),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return []byte(encode("CERTIFICATE", der)), nil
}

func newSerial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:])  // never fails
	b[0] = b[0]&0x7f | 0x40 // positive, and always of the same length
	return new(big.Int).SetBytes(b[:])
}

func newKeyPEM() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return []byte(encode("PRIVATE KEY", der)), nil
}

func parseKey(text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("not a PEM file")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("not an ECDSA key")
	}
	return key, nil
}

func parseCertificate(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("not a PEM file")
	}
	return x509.ParseCertificate(block.Bytes)
}

// parseCSR checks that the request is signed by the key that it is about, and
// that the key is of a kind that both sides speak.
func parseCSR(text string) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, problem.Invalid("csr", "not a certificate signing request in PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, problem.Invalid("csr", "not a certificate signing request in PEM").Because(err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, problem.Invalid("csr", "it is not signed by its own key").Because(err)
	}
	switch key := csr.PublicKey.(type) {
	case ed25519.PublicKey:
		return csr, nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return csr, nil
		}
	}
	return nil, problem.Invalid("csr", "its key must be ECDSA on P-256, or Ed25519")
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
