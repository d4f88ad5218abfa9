package enrol

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// enrolKeyFile is the key of an enrolment that has not come to its end. The same
// enrolment key gives the same certificate to the same public key: an answer that
// got lost can be asked for again.
const enrolKeyFile = "enrol.key"

const forHeader = "Enrolment-Key" // in enrolKeyFile: the id of the enrolment key

// enrolmentKey gives the private key for an enrolment by that enrolment key: the
// one of the last try, or a new one, which is on disk before it is used.
func enrolmentKey(dir, id string) (*ecdsa.PrivateKey, error) {
	path := filepath.Join(dir, enrolKeyFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the key of the last try: %w", err)
	}
	if block, _ := pem.Decode(text); block != nil && block.Headers[forHeader] == id {
		if key, err := parseKey(block.Bytes); err == nil {
			return key, nil
		}
	}
	return newKeyFile(path, map[string]string{forHeader: id})
}

// newKeyFile makes a key and keeps it in a file that only we may read.
func newKeyFile(path string, headers map[string]string) (*ecdsa.PrivateKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	text, err := keyPEM(private, headers)
	if err != nil {
		return nil, err
	}
	if err := replace(path, text, 0o600); err != nil {
		return nil, fmt.Errorf("keep the new key: %w", err)
	}
	return private, syncDir(filepath.Dir(path))
}

func keyPEM(private *ecdsa.PrivateKey, headers map[string]string) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("write the key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Headers: headers, Bytes: der}), nil
}

func parseKey(der []byte) (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("not an ECDSA key")
	}
	return key, nil
}

// signingRequest asks for a certificate for the key, in PEM.
func signingRequest(private *ecdsa.PrivateKey) (string, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, private)
	if err != nil {
		return "", fmt.Errorf("make a certificate request: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}
