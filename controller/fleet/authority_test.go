package fleet_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/berth-panel/berth/controller/fleet"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
)

func authority(t *testing.T, dir string) *fleet.Authority {
	t.Helper()
	a, err := fleet.OpenAuthority(dir, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func certificate(t *testing.T, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("not PEM: %q", text)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func csr(t *testing.T, key crypto.Signer) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{"anything.example"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func p256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAuthorityStaysTheSame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, again := authority(t, dir), authority(t, dir)
	if first.CertificatePEM() != again.CertificatePEM() {
		t.Fatal("the second start made another authority")
	}
	sum := sha256.Sum256(certificate(t, first.CertificatePEM()).Raw)
	if !bytes.Equal(first.Fingerprint(), sum[:]) {
		t.Fatal("the fingerprint is not the certificate's")
	}
	info, err := os.Stat(filepath.Join(dir, fleet.CAKeyFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the key's file: %v, %v", info.Mode(), err)
	}
}

func TestAuthorityRefusesWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	cases := map[string]func(t *testing.T, dir string){
		"the key of another": func(t *testing.T, dir string) {
			other := t.TempDir()
			authority(t, other)
			if err := os.Rename(filepath.Join(other, fleet.CAKeyFile), filepath.Join(dir, fleet.CAKeyFile)); err != nil {
				t.Fatal(err)
			}
		},
		"a key that others read": func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, fleet.CAKeyFile), 0o644); err != nil {
				t.Fatal(err)
			}
		},
		"an empty certificate": func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, fleet.CACertificateFile), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"a certificate that others write": func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, fleet.CACertificateFile), 0o666); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, spoil := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			authority(t, dir)
			spoil(t, dir)
			if _, err := fleet.OpenAuthority(dir, time.Now); err == nil {
				t.Fatal("it was taken")
			}
		})
	}
}

func TestNodeCertificate(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	a, err := fleet.OpenAuthority(t.TempDir(), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	key, node := p256(t), ident.Node(ident.New())
	issued, err := a.IssueNode(node, csr(t, key), "")
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t, issued.PEM)
	pool := x509.NewCertPool()
	pool.AddCert(certificate(t, a.CertificatePEM()))
	for name, at := range map[string]time.Time{"an hour behind": now.Add(-time.Hour), "now": now, "a year on": now.Add(364 * 24 * time.Hour)} {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: at}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("a node's certificate works as the controller's")
	}
	if len(cert.URIs) != 1 || cert.URIs[0].String() != "berth://node/"+string(node) || len(cert.DNSNames) != 0 || cert.IsCA {
		t.Errorf("it is for %v and %v, CA %v: it must be for the node alone", cert.URIs, cert.DNSNames, cert.IsCA)
	}
	if cert.SerialNumber.Text(16) != issued.Serial || !cert.NotAfter.Equal(issued.NotAfter) || !key.PublicKey.Equal(cert.PublicKey) {
		t.Errorf("serial %s, key or end differ from what was asked", issued.Serial)
	}
	second, err := a.IssueNode(node, csr(t, key), "")
	if err != nil || second.Serial == issued.Serial {
		t.Errorf("the second certificate has serial %s too (%v)", second.Serial, err)
	}
	repeated, err := a.IssueNode(node, csr(t, key), issued.Serial)
	if err != nil || repeated.Serial != issued.Serial {
		t.Errorf("the repeated certificate has serial %s (%v)", repeated.Serial, err)
	}
}

func TestSigningRequests(t *testing.T) {
	t.Parallel()
	a := authority(t, t.TempDir())
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := csr(t, p256(t))
	block, _ := pem.Decode([]byte(good))
	block.Bytes[len(block.Bytes)-1] ^= 1
	cases := map[string]struct {
		text string
		good bool
	}{
		"P-256":              {good, true},
		"Ed25519":            {csr(t, ed), true},
		"empty":              {"", false},
		"not PEM":            {"hello", false},
		"a certificate":      {a.CertificatePEM(), false},
		"cut off":            {good[:len(good)/2], false},
		"a broken signature": {string(pem.EncodeToMemory(block)), false},
		"RSA":                {csr(t, rsaKey), false},
		"P-384":              {csr(t, p384), false},
	}
	for name, c := range cases {
		_, errKey := fleet.PublicKeyOf(c.text)
		_, err := a.IssueNode("n", c.text, "")
		switch {
		case c.good && (err != nil || errKey != nil):
			t.Errorf("%s: %v, %v", name, err, errKey)
		case !c.good && (!problem.Is(err, problem.Validation) || !problem.Is(errKey, problem.Validation)):
			t.Errorf("%s: %v, %v", name, err, errKey)
		}
	}
}

func TestPublicKeyTellsKeysApart(t *testing.T) {
	t.Parallel()
	key := p256(t)
	one, err := fleet.PublicKeyOf(csr(t, key))
	if err != nil {
		t.Fatal(err)
	}
	same, err := fleet.PublicKeyOf(csr(t, key))
	if err != nil || !bytes.Equal(one, same) {
		t.Fatalf("two requests of one key differ (%v)", err)
	}
	if other, err := fleet.PublicKeyOf(csr(t, p256(t))); err != nil || bytes.Equal(one, other) {
		t.Fatalf("two keys look the same (%v)", err)
	}
}
