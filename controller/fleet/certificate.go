package fleet

import (
	"context"
	"fmt"
	"net/http"

	"github.com/berth-panel/berth/shared/ident"
	"github.com/berth-panel/berth/shared/problem"
	"github.com/berth-panel/berth/shared/wire"
)

// RequestCertificate has the node's agent make a new key and gives its signing
// request (PEM). The agent forgets the key of an earlier request: a certificate
// for that one can't be put into place any more.
func (f *Fleet) RequestCertificate(ctx context.Context, node ident.Node) (csr string, err error) {
	var request wire.CertificateRequest
	if err := f.ask(ctx, node, http.MethodPost, wire.PathCertificate, nil, &request); err != nil {
		return "", err
	}
	return request.CSR, nil
}

// InstallCertificate hands the node's agent the certificate that was made for its
// request, and looks whether the agent shows it. Call it after the commit that
// lets the certificate in: Targets must have it as NextCertificate.
func (f *Fleet) InstallCertificate(ctx context.Context, node ident.Node, issued Issued) (Shown, error) {
	l := f.link(node)
	if l == nil {
		return Shown{}, problem.New(problem.NodeOffline, "node %s is offline: %s", node, f.Presence(node).Reason)
	}
	l.expect(issued.Serial) // the directory may not have been read again yet
	if err := f.ask(ctx, node, http.MethodPut, wire.PathCertificate, wire.Certificate{Certificate: issued.PEM}, nil); err != nil {
		return Shown{}, err
	}
	shown, err := f.ShownCertificate(ctx, node)
	if err == nil && shown.Serial != issued.Serial {
		err = fmt.Errorf("node %s took its new certificate and goes on showing the one before", node)
	}
	return shown, err
}

// ShownCertificate makes a new connection to the node and gives the certificate
// that its agent shows now.
func (f *Fleet) ShownCertificate(ctx context.Context, node ident.Node) (Shown, error) {
	l := f.link(node)
	if l == nil {
		return Shown{}, problem.New(problem.NodeOffline, "node %s is offline: %s", node, f.Presence(node).Reason)
	}
	conn, shown, err := l.connectTLS(ctx)
	if err != nil {
		_, name, _ := l.current()
		return Shown{}, tellCall(ctx, ctx, name, err)
	}
	return shown, conn.Close()
}

// expect lets one more certificate of the target in.
func (l *link) expect(serial string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = serial
}
