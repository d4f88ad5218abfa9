package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/berth-panel/berth/shared/wire"
)

// errNotController ends the handshake of everyone else.
var errNotController = errors.New("the client's certificate is not the controller's")

// TLSConfig lets in the controller and nobody else: current gives the node's own
// certificate, for each handshake anew; authorities holds the controller's CA
// alone.
func TLSConfig(current func() *tls.Certificate, authorities *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return current(), nil },
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              authorities,
		NextProtos:             []string{"http/1.1"}, // the event stream is a WebSocket
		SessionTicketsDisabled: true,                 // every connection shows its certificate
		VerifyConnection:       verifyController,
	}
}

func verifyController(state tls.ConnectionState) error {
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return errNotController
	}
	uris := state.PeerCertificates[0].URIs
	if len(uris) != 1 || uris[0].String() != wire.ControllerURI {
		return errNotController
	}
	return nil
}
