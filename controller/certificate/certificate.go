package certificate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Options say where certificates come from: the files, or an authority.
type Options struct {
	CertFile, KeyFile string // PEM; both or none

	Domains   []string // to be certified by an authority; none: the files
	Email     string   // whom the authority may write to; "" nobody
	Directory string   // URL of the authority's ACME directory; "" is Let's Encrypt
	Roots     string   // PEM file of what the authority's own certificate is checked against; "" the system's
	Storage   string   // directory of the account and the certificates

	Log *slog.Logger
	Now func() time.Time
}

// On says whether HTTPS was asked for.
func (o Options) On() bool { return o.CertFile != "" || o.KeyFile != "" || len(o.Domains) > 0 }

// source has the certificates.
type source interface {
	get(hello *tls.ClientHelloInfo) (*tls.Certificate, error)
	// run keeps them good until ctx ends, on these ports; plain is 0 without a plain
	// door.
	run(ctx context.Context, port, plain int) error
	// protocols are what is agreed on in handshakes besides HTTP.
	protocols() []string
}

// Service has the certificates. Safe for concurrent use.
type Service struct {
	Options
	source source
	acme   *authority // nil with files
	every  time.Duration
}

// New checks the options; files are read, an authority is not asked yet. Of ctx only
// the values are kept, for the log.
func New(ctx context.Context, o Options) (*Service, error) {
	s := &Service{Options: o, every: reloadEvery}
	switch {
	case len(o.Domains) > 0 && (o.CertFile != "" || o.KeyFile != ""):
		return nil, errors.New("certificates come from files (--tls-cert) or from an authority (--acme-domain), not from both")
	case len(o.Domains) > 0:
		for _, domain := range o.Domains {
			if !isDomain(domain) {
				return nil, fmt.Errorf("--acme-domain %q is no name that a certificate can be for: it looks like panel.example.com", domain)
			}
		}
		a, err := newAuthority(context.WithoutCancel(ctx), o)
		if err != nil {
			return nil, err
		}
		s.source, s.acme = a, a
	case o.CertFile == "" || o.KeyFile == "":
		return nil, errors.New("--tls-cert and --tls-key belong together")
	default:
		f := &files{options: o, every: &s.every}
		if err := f.load(); err != nil {
			return nil, err
		}
		s.source = f
	}
	return s, nil
}

// isDomain says whether it is a name as authorities take it, and no address.
func isDomain(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil || len(name) > 253 || !strings.Contains(name, ".") {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") != "" {
			return false
		}
	}
	return true
}

// Listen makes a listener speak TLS.
func (s *Service) Listen(ln net.Listener) net.Listener {
	return tls.NewListener(ln, &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: s.source.get, NextProtos: append([]string{"http/1.1"}, s.source.protocols()...),
	})
}

// Run keeps the certificates good until ctx ends. secure is where Listen's
// listener is served, plain that of Redirect; nil without one.
func (s *Service) Run(ctx context.Context, secure, plain net.Addr) error {
	return s.source.run(ctx, portOf(secure), portOf(plain))
}

func portOf(a net.Addr) int {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.Port
	}
	return 0
}
