package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// authority gets certificates by ACME.
type authority struct {
	options Options
	roots   *x509.CertPool
	config  *certmagic.Config
	issuer  *certmagic.ACMEIssuer
	cache   *certmagic.Cache
}

func newAuthority(ctx context.Context, o Options) (*authority, error) {
	a := &authority{options: o}
	if o.Roots != "" {
		text, err := os.ReadFile(o.Roots)
		if err != nil {
			return nil, fmt.Errorf("read the authority's root certificates: %w", err)
		}
		if a.roots = x509.NewCertPool(); !a.roots.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s has no certificate in PEM form", o.Roots)
		}
	}
	if err := os.MkdirAll(o.Storage, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of certificates: %w", err)
	}
	if err := os.Chmod(o.Storage, 0o700); err != nil { //nolint:gosec // a folder is entered
		return nil, fmt.Errorf("close the folder of certificates: %w", err)
	}
	log := zap.New(&bridge{to: o.Log, ctx: ctx})
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return a.config, nil }, Logger: log,
	})
	a.config = certmagic.New(a.cache, certmagic.Config{Storage: &certmagic.FileStorage{Path: o.Storage}, Logger: log})
	directory := o.Directory
	if directory == "" {
		directory = certmagic.LetsEncryptProductionCA
	}
	a.issuer = certmagic.NewACMEIssuer(a.config, certmagic.ACMEIssuer{
		CA: directory, TestCA: directory, Email: o.Email, Agreed: true, TrustedRoots: a.roots, Logger: log,
		DisableHTTPChallenge: true, DisableDistributedSolvers: true, // until run knows the ports
	})
	a.config.Issuers = []certmagic.Issuer{a.issuer}
	return a, nil
}

func (a *authority) get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName == "" { // by its address: what there is
		named := *hello
		named.ServerName = a.options.Domains[0]
		hello = &named
	}
	return a.config.GetCertificate(hello)
}

func (a *authority) protocols() []string { return []string{acmez.ACMETLS1Protocol} }

// run gets and renews certificates. The ports are ours and open: that keeps
// certmagic from opening them, and challenges come in by our doors.
func (a *authority) run(ctx context.Context, port, plain int) error {
	defer a.cache.Stop()
	a.issuer.AltTLSALPNPort = port
	if plain != 0 {
		a.issuer.DisableHTTPChallenge, a.issuer.AltHTTPPort = false, plain
	}
	if err := a.config.ManageAsync(ctx, a.options.Domains); err != nil {
		return fmt.Errorf("manage certificates: %w", err)
	}
	<-ctx.Done()
	return nil
}

// bridge carries certmagic's log into ours. What it says below a warning is for
// debugging: it tells each step of an order.
type bridge struct {
	to     *slog.Logger
	ctx    context.Context //nolint:containedctx // zap has none to give
	fields []zapcore.Field
}

func level(l zapcore.Level) slog.Level {
	switch {
	case l >= zapcore.ErrorLevel:
		return slog.LevelError
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	default:
		return slog.LevelDebug
	}
}

// Enabled is zap's, as are the rest.
func (b *bridge) Enabled(l zapcore.Level) bool { return b.to.Handler().Enabled(b.ctx, level(l)) }

// With adds fields to each line.
func (b *bridge) With(fields []zapcore.Field) zapcore.Core {
	return &bridge{to: b.to, ctx: b.ctx, fields: append(append([]zapcore.Field{}, b.fields...), fields...)}
}

// Check says that the line is wanted.
func (b *bridge) Check(e zapcore.Entry, c *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if b.Enabled(e.Level) {
		return c.AddCore(e, b)
	}
	return c
}

// Write writes the line. Of its fields only plain ones go along: others may hold an
// account, or a whole order.
func (b *bridge) Write(e zapcore.Entry, fields []zapcore.Field) error {
	encoder := zapcore.NewMapObjectEncoder()
	for _, f := range append(append([]zapcore.Field{}, b.fields...), fields...) {
		switch f.Type {
		case zapcore.StringType, zapcore.ErrorType, zapcore.Int64Type, zapcore.BoolType, zapcore.DurationType, zapcore.TimeType:
			f.AddTo(encoder)
		}
	}
	attrs := make([]any, 0, 2*len(encoder.Fields))
	for name, value := range encoder.Fields {
		attrs = append(attrs, name, value)
	}
	b.to.Log(b.ctx, level(e.Level), "certificates: "+e.Message, attrs...)
	return nil
}

// Sync has nothing to do.
func (b *bridge) Sync() error { return nil }
