package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

const (
	reloadEvery = 10 * time.Second
	warnBefore  = 7 * 24 * time.Hour
)

// files are a certificate and its key on the disk. They are read again and again
// instead of watched: what renews them often replaces a link, or a folder above.
type files struct {
	options Options
	every   *time.Duration
	current atomic.Pointer[tls.Certificate]
	seen    [2][]byte // of the last try, good or bad; only run and New use it
}

// load reads the pair when it is another than the last time.
func (f *files) load() error {
	chain, err := os.ReadFile(f.options.CertFile)
	if err != nil {
		return fmt.Errorf("read the certificate: %w", err)
	}
	key, err := os.ReadFile(f.options.KeyFile)
	if err != nil {
		return fmt.Errorf("read the certificate's key: %w", err)
	}
	if bytes.Equal(chain, f.seen[0]) && bytes.Equal(key, f.seen[1]) {
		return nil
	}
	f.seen = [2][]byte{chain, key}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return fmt.Errorf("%s and %s are no certificate with its key: %w", f.options.CertFile, f.options.KeyFile, err)
	}
	f.current.Store(&pair)
	f.options.Log.Info("a certificate was read", "names", pair.Leaf.DNSNames, "ends", pair.Leaf.NotAfter)
	return nil
}

func (f *files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := f.current.Load(); c != nil {
		return c, nil
	}
	return nil, errors.New("no certificate was read")
}

func (f *files) protocols() []string { return nil }

// run looks for other files, and says in time that the certificate ends.
func (f *files) run(ctx context.Context, _, _ int) error {
	tick := time.NewTicker(*f.every)
	defer tick.Stop()
	said, warned := "", time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		switch err := f.load(); {
		case err == nil:
			said = ""
		case err.Error() != said: // once
			said = err.Error()
			f.options.Log.Error("the certificate's files can't be used; the one before stays", "error", said)
		}
		leaf := f.current.Load().Leaf
		if left := leaf.NotAfter.Sub(f.options.Now()); left < warnBefore && f.options.Now().Sub(warned) > warnBefore/7 {
			warned = f.options.Now()
			f.options.Log.Warn("the certificate ends soon: replace its files", "ends", leaf.NotAfter)
		}
	}
}
