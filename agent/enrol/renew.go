package enrol

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// nextKeyFile is the key of a certificate that the controller was asked for.
const nextKeyFile = "node.key.next"

// Keeper holds the identity while the agent runs, and replaces its certificate
// when the controller brings a new one. It is safe for concurrent use.
type Keeper struct {
	dir      string
	now      func() time.Time
	identity Identity
	current  atomic.Pointer[tls.Certificate]

	changing sync.Mutex // the files
}

// Keep loads the identity of the data directory. Its errors are those of Load.
func Keep(dir string, now func() time.Time) (*Keeper, error) {
	identity, err := Load(dir)
	if err != nil {
		return nil, err
	}
	k := &Keeper{dir: dir, now: now, identity: identity}
	k.current.Store(&identity.Certificate)
	return k, nil
}

// Identity is who this node is, with the certificate that it began with.
func (k *Keeper) Identity() Identity { return k.identity }

// Certificate is the one to show now.
func (k *Keeper) Certificate() *tls.Certificate { return k.current.Load() }

// Request makes a new key, on disk before it is spoken of, and gives its signing
// request (PEM). The key of an earlier request is forgotten: a certificate that
// is still on its way for that one can't be put into place any more, on which the
// controller relies.
func (k *Keeper) Request() (csr string, err error) {
	k.changing.Lock()
	defer k.changing.Unlock()
	if err := mend(k.dir); err != nil {
		return "", err
	}
	private, err := newKeyFile(filepath.Join(k.dir, nextKeyFile), nil)
	if err != nil {
		return "", err
	}
	return signingRequest(private)
}

// Install checks the certificate (PEM) that was made for the last request, puts
// it and its key into place, and shows it from then on. The one in place again is
// no error. What is refused is a problem, and leaves everything as it was.
func (k *Keeper) Install(text string) error {
	k.changing.Lock()
	defer k.changing.Unlock()
	leaf, err := parseCertificate([]byte(text))
	if err != nil {
		return problem.Invalid("certificate", "%s", err)
	}
	if bytes.Equal(leaf.Raw, k.Certificate().Certificate[0]) {
		return nil
	}
	if err := mend(k.dir); err != nil {
		return err
	}
	private, err := readKey(filepath.Join(k.dir, nextKeyFile))
	if errors.Is(err, fs.ErrNotExist) {
		return problem.New(problem.Conflict, "no certificate was asked for")
	}
	if err != nil {
		return fmt.Errorf("read the new key: %w", err)
	}
	if err := k.check(leaf, private); err != nil {
		return err
	}
	if err := replace(filepath.Join(k.dir, certFile), []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the new certificate: %w", err)
	}
	if err := mend(k.dir); err != nil { // from here on a restart does it too
		return err
	}
	k.current.Store(&tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: private, Leaf: leaf})
	return nil
}

func (k *Keeper) check(leaf *x509.Certificate, private *ecdsa.PrivateKey) error {
	if public, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !private.PublicKey.Equal(public) {
		return problem.New(problem.Conflict, "the certificate is not for the key that was asked for last")
	}
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != wire.NodeURI(k.identity.Node) {
		return problem.New(problem.Conflict, "the certificate names another node")
	}
	now := k.now()
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return problem.New(problem.Conflict, "%s", clockError(leaf, now, 0, "set the clocks right"))
	}
	options := x509.VerifyOptions{Roots: k.identity.Authorities, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if _, err := leaf.Verify(options); err != nil {
		return problem.New(problem.Conflict, "the certificate is not of this node's controller").Because(err)
	}
	return nil
}

// mend ends a replacement that was cut short: the certificate is the new one, and
// its key still lies beside the old one.
func mend(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, certFile))
	if err != nil {
		return broken(err)
	}
	leaf, err := parseCertificate(text)
	if err != nil {
		return broken(fmt.Errorf("%s: %w", certFile, err))
	}
	next := filepath.Join(dir, nextKeyFile)
	private, err := readKey(next)
	if err != nil { // none, or half of one: it is no certificate's
		return nil //nolint:nilerr // see above
	}
	if public, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !private.PublicKey.Equal(public) {
		return nil
	}
	if err := os.Rename(next, filepath.Join(dir, keyFile)); err != nil {
		return fmt.Errorf("put the new key into place: %w", err)
	}
	return syncDir(dir)
}

func readKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("not a PEM file")
	}
	return parseKey(block.Bytes)
}
