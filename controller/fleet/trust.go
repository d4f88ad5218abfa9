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
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, errUnreached)
	defer cancel()
	raw, err := l.fleet.dial(ctx, "tcp", l.host())
	if err != nil {
		return nil, ended(ctx, err)
	}
	conn := tls.Client(raw, l.tls())
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, ended(ctx, err)
	}
	return conn, nil
}

// tls is the client side of a connection to this very target.
func (l *link) tls() *tls.Config {
	authority, now := l.fleet.authority, l.fleet.now
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"http/1.1"},
		Time:       now,
		// The library's check is about host names; verify does all that it does and more.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			return verify(authority.pool, l.target, state, now())
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return authority.controllerCertificate()
		},
	}
}

// verify lets in the certificate of the target and no other.
func verify(pool *x509.CertPool, target Target, state tls.ConnectionState, now time.Time) error {
	if len(state.PeerCertificates) == 0 {
		return &distrust{reason: "what answers there shows no certificate"}
	}
	leaf := state.PeerCertificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &distrust{reason: "its certificate has run out, or the clock of this machine is wrong: enrol it anew", cause: err}
	case err != nil:
		return &distrust{reason: "its certificate was not made by this controller: enrol it here", cause: err}
	case len(leaf.URIs) != 1 || leaf.URIs[0].String() != wire.NodeURI(target.Node):
		return &distrust{reason: "the certificate there is another node's"}
	case leaf.SerialNumber.Text(16) != target.Certificate:
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
	for _, known := range []error{ErrCut, ErrStopped, errSilent, errSlow, errUnreached, errGarbled} { // their texts are fit for people
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
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return "the connection broke off"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it does not answer"
	default:
		return "the connection failed; the controller's log says more"
	}
}
