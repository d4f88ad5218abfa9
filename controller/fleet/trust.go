package fleet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
	"github.com/hashicorp/yamux"

	"github.com/berth-panel/berth/shared/coarse"
	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// distrust is why the agent's certificate is not let in.
type distrust struct {
	reason string
	cause  error
}

func (d *distrust) Error() string {
	if d.cause != nil {
		return d.reason + ": " + d.cause.Error()
	}
	return d.reason
}

func (d *distrust) Unwrap() error { return d.cause }

// dialTLS connects with the target and checks that it is the target.
func (l *link) dialTLS(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, _, err := l.connectTLS(ctx)
	if err != nil {
		return nil, err // not a nil *tls.Conn
	}
	return conn, nil
}

// dialCoarse is dialTLS for what carries much.
func (l *link) dialCoarse(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, _, err := l.connectTLS(ctx)
	if err != nil {
		return nil, err
	}
	coarse.ReadAhead(conn)
	return coarse.Hold(conn), nil
}

// connectTLS makes a new connection and gives the certificate that was shown.
func (l *link) connectTLS(ctx context.Context) (*tls.Conn, Shown, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, errUnreached)
	defer cancel()
	raw, via, err := l.reach(ctx)
	if err != nil {
		return nil, Shown{}, ended(ctx, err)
	}
	conn := tls.Client(coarse.New(raw), l.fleet.clientTLS(func(state tls.ConnectionState) error {
		return verify(l.fleet.authority.pool, l.target.Node, l.accepts, state, l.fleet.now())
	}))
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, Shown{}, ended(ctx, err)
	}
	shown := shownIn(conn)
	if !l.saw(shown) {
		_ = raw.Close()
		return nil, Shown{}, ErrCut
	}
	if via != nil {
		l.fleet.sawIn(via, shown.Serial)
	}
	return conn, shown, nil
}

// reach opens the raw connection to the target; via is the tunnel that it is in.
func (l *link) reach(ctx context.Context) (raw net.Conn, via *tunnel, err error) {
	if l.target.Tunnel {
		return l.throughTunnel(ctx)
	}
	raw, err = l.fleet.dial(ctx, "tcp", l.host())
	return raw, nil, err
}

// shownIn is the certificate at the other end of a connection.
func shownIn(conn *tls.Conn) Shown {
	leaf := conn.ConnectionState().PeerCertificates[0]
	return Shown{Serial: leaf.SerialNumber.Text(16), NotAfter: leaf.NotAfter}
}

// clientTLS is the controller's side of a connection to an agent that verify
// lets in.
func (f *Fleet) clientTLS(verify func(tls.ConnectionState) error) *tls.Config {
	authority, now := f.authority, f.now
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"http/1.1"},
		Time:       now,
		// The library's check is about host names; verify does all that it does and more.
		InsecureSkipVerify: true,
		VerifyConnection:   verify,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return authority.controllerCertificate()
		},
	}
}

var errNoCertificate = &distrust{reason: "what answers there shows no certificate"}

// verify lets in the node's certificates whose serials are accepted and no other.
func verify(pool *x509.CertPool, node ident.Node, accepts func(serial string) bool, state tls.ConnectionState, now time.Time) error {
	if len(state.PeerCertificates) == 0 {
		return errNoCertificate
	}
	leaf := state.PeerCertificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &distrust{reason: "its certificate has run out, or the clock of this machine is wrong: enrol it anew", cause: err}
	case err != nil:
		return &distrust{reason: "its certificate was not made by this controller: enrol it anew with a key of this controller", cause: err}
	case len(leaf.URIs) != 1 || leaf.URIs[0].String() != wire.NodeURI(node):
		return &distrust{reason: "the certificate there is another node's"}
	case !accepts(leaf.SerialNumber.Text(16)):
		return &distrust{reason: "its certificate is void because the node was enrolled again since: start the agent with the new one"}
	}
	return nil
}

var errUnreached = fmt.Errorf("no answer within %d s", connectTimeout/time.Second)

// explain says for people why a connection failed, without addresses and inner
// workings: a node's reason is shown to whoever has an instance on it.
func explain(err error) string {
	var p *problem.Problem
	var d *distrust
	if errors.As(err, &p) {
		return p.Message
	}
	if errors.As(err, &d) {
		return d.reason
	}
	for _, known := range []error{ErrCut, ErrStopped, errSilent, errSlow, errUnreached, errGarbled, errNoTunnel, errUnproven, errStalled, errBulkSlow, errIdleFrom, errIdleTo} { // their texts are fit for people
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return explainNetwork(err)
}

func explainNetwork(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	var header tls.RecordHeaderError
	var closed *websocket.CloseError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &dns):
		return "the name of its address can't be resolved"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens at its address and port; is the agent running?"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to its address"
	case errors.As(err, &header):
		return "what answers at its address and port is not an agent"
	case errors.As(err, &op) && op.Op == "remote error":
		return "it refuses this controller's certificate; was it enrolled elsewhere since?"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe), errors.As(err, &closed),
		errors.Is(err, yamux.ErrSessionShutdown), errors.Is(err, yamux.ErrConnectionReset), errors.Is(err, yamux.ErrStreamClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return "the connection broke off"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it does not answer"
	default:
		return "the connection failed; the controller's log says more"
	}
}
