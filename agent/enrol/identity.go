package enrol

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/wire"
)

const (
	keyFile  = "node.key"
	certFile = "node.crt"
	caFile   = "ca.crt"
	nodeFile = "node.json"
)

// ErrNotEnrolled says that the data directory holds no identity.
var ErrNotEnrolled = errors.New("this node is not enrolled: run the line that the controller prints for it (berth-controller node key), or `berth-agent enrol` with the key in that line")

// Identity is who this node is.
type Identity struct {
	Node        ident.Node
	Controller  string          // the URL it was enrolled at
	Certificate tls.Certificate // with the key
	Authorities *x509.CertPool  // the controller's CA alone
}

// record is node.json.
type record struct {
	Node       ident.Node `json:"node"`
	Controller string     `json:"controller"`
	EnrolledAt time.Time  `json:"enrolled_at"`
}

// Load reads the identity from the data directory. Without one it answers
// ErrNotEnrolled; files that don't belong together are an error that says so.
func Load(dir string) (Identity, error) {
	text, err := os.ReadFile(filepath.Join(dir, nodeFile))
	if errors.Is(err, fs.ErrNotExist) {
		return Identity{}, ErrNotEnrolled
	}
	if err != nil {
		return Identity{}, fmt.Errorf("read the node's identity: %w", err)
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil || r.Node == "" {
		return Identity{}, broken(errors.New(nodeFile + " can't be read"))
	}
	if err := mend(dir); err != nil {
		return Identity{}, err
	}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, certFile), filepath.Join(dir, keyFile))
	if err != nil {
		return Identity{}, broken(err)
	}
	text, err = os.ReadFile(filepath.Join(dir, caFile))
	if err != nil {
		return Identity{}, broken(err)
	}
	ca, err := parseCertificate(text)
	if err != nil {
		return Identity{}, broken(fmt.Errorf("%s: %w", caFile, err))
	}
	if uris := certificate.Leaf.URIs; len(uris) != 1 || uris[0].String() != wire.NodeURI(r.Node) {
		return Identity{}, broken(errors.New("the certificate is another node's"))
	}
	if err := certificate.Leaf.CheckSignatureFrom(ca); err != nil {
		return Identity{}, broken(fmt.Errorf("the certificate is not of %s: %w", caFile, err))
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return Identity{Node: r.Node, Controller: r.Controller, Certificate: certificate, Authorities: pool}, nil
}

func broken(cause error) error {
	return fmt.Errorf("the node's identity is damaged (%w): enrol it again with --force", cause)
}

// save writes the identity; node.json last.
func save(dir string, key, certificate, ca []byte, r record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the node's identity: %w", err)
	}
	files := []struct {
		name string
		text []byte
		mode fs.FileMode
	}{{keyFile, key, 0o600}, {certFile, certificate, 0o644}, {caFile, ca, 0o644}, {nodeFile, append(text, '\n'), 0o644}}
	for _, f := range files {
		if err := replace(filepath.Join(dir, f.name), f.text, f.mode); err != nil {
			return fmt.Errorf("write the node's identity: %w", err)
		}
	}
	for _, over := range []string{enrolKeyFile, nextKeyFile} { // of no use from here on
		if err := os.Remove(filepath.Join(dir, over)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("write the node's identity: %w", err)
		}
	}
	return syncDir(dir)
}

// replace writes a file beside path, syncs it and puts it in its place.
func replace(path string, text []byte, mode fs.FileMode) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), ".enrol-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(text)
	if err == nil {
		err = file.Chmod(mode)
	}
	if err == nil {
		err = file.Sync()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync the data directory: %w", err)
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync the data directory: %w", err)
	}
	return nil
}

// parseCertificate reads exactly one certificate.
func parseCertificate(text []byte) (*x509.Certificate, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("not a certificate")
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, errors.New("more than one certificate")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("not a certificate: %w", err)
	}
	return certificate, nil
}
